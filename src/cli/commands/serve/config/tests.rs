use std::collections::BTreeSet;

use super::*;

fn plan(text: &str) -> Result<ServePlan, Vec<String>> {
    super::plan(Path::new("f"), text).map_err(|errors| {
        let lines =
            errors.iter().map(|error| toml_file::error_line(Path::new("f"), text, error.span.clone(), &error.message));
        lines.collect()
    })
}

fn served(text: &str) -> Vec<String> {
    let plan = plan(text).unwrap();
    let lines = plan.services.iter().flat_map(|planned| {
        let name = planned.builtin.name;
        planned.listeners.iter().map(move |listener| format!("{name} {} {}", listener.endpoint, listener.framing))
    });
    lines.collect()
}

#[test]
fn services_keep_the_order_of_the_file() {
    let text = "
        [upper]
        [[greet]]
        listen = ['127.0.0.1:1', 'lines@127.0.0.1:2']
        [[greet]]
        listen = 'udp:127.0.0.1:3'
        [echo]
        framing = 'u16le'
    ";
    assert_eq!(
        served(text),
        [
            "upper tcp 127.0.0.1:8080 raw",
            "greet tcp 127.0.0.1:1 raw",
            "greet tcp 127.0.0.1:2 lines",
            "greet udp 127.0.0.1:3 raw",
            "echo tcp 127.0.0.1:7000 u16le",
            "echo udp 127.0.0.1:7000 u16le",
        ]
    );
}

#[test]
fn limits_and_engine_parse_as_on_the_command_line() {
    let plan = plan("engine = 'threads'\n[limits]\nmax-connections = 5\nidle-timeout = '2min'\nslow-consumer = 'drop-oldest'\n[echo]").unwrap();
    assert_eq!(format!("{:?}", plan.engine), "Threads");
    assert_eq!((plan.limits.max_connections, plan.limits.idle_timeout.as_secs()), (5, 120));
    assert_eq!(plan.limits.slow_consumer.to_string(), "drop-oldest");
}

#[test]
fn every_error_is_reported_with_its_line() {
    for (text, expected) in [
        ("", vec!["f:1: no service is named: add a section, such as [echo]"]),
        (
            "engin = 'threads'\n[echo]",
            vec!["f:1: unknown key engin in the top level: its keys are engine, log-format, stats-every, stats-file"],
        ),
        (
            "[ecko]\n",
            vec![
                "f:1: unknown section ecko: use limits or one of echo, upper, greet, robot, parrot, clock, chat, files, exec",
            ],
        ),
        (
            "[echo]\n[greet]\ntemplat = 'x'",
            vec!["f:3: unknown key templat in greet: its keys are listen, framing, encoding, template"],
        ),
        ("[upper]\nencoding = 'gbk'", vec!["f:2: unknown key encoding in upper: its keys are listen, framing"]),
        ("[upper]\nconfig = 'x'", vec!["f:2: unknown key config in upper: its keys are listen, framing"]),
        (
            "[limits]\nlisten = '127.0.0.1:1'\n[echo]",
            vec!["f:2: unknown key listen in limits: its keys are max-connections"],
        ),
        (
            "[limits]\nmax-frame-bytes = 'many'\n[echo]",
            vec!["f:2: invalid value 'many' for 'max-frame-bytes <SIZE>': not a size"],
        ),
        ("[limits]\nmax-connections = 0\n[echo]", vec!["f:2: max-connections must be at least 1"]),
        (
            "[limits]\nidle-timeout = '1M'\n[echo]",
            vec!["f:2: invalid value '1M' for 'idle-timeout <TIME>': ambiguous: M stands for a month or a minute"],
        ),
        (
            "[echo]\nlisten = [\n  '127.0.0.1:1',\n  'u7@127.0.0.1:2',\n]",
            vec!["f:4: invalid value 'u7@127.0.0.1:2' for 'listen <ADDR>': unknown framing 'u7'"],
        ),
        ("[echo]\nlisten = '127.0.0.1'", vec!["f:2: listen 127.0.0.1 is not an address"]),
        ("[echo]\nlisten = 7000", vec!["f:2: listen 7000 is not an address"]),
        ("[echo]\nlisten = []", vec!["f:2: listen is an empty list: write a value, or remove the key"]),
        ("[exec]\n\nallow = []", vec!["f:3: allow is an empty list"]),
        ("[chat]\nconsole = true\ncolour = [\n]", vec!["f:3: colour is an empty list"]),
        ("[echo]\nlisten = 2026-11-21", vec!["f:2: listen is a date: write a string"]),
        ("[chat]\nconsole = 'yes'", vec!["f:2: console must be true or false"]),
        ("[chat]\nburst = true", vec!["f:2: burst takes a value, not true or false"]),
        ("[chat]\nburst = [1, 2]", vec!["f:2: burst takes one value"]),
        ("[chat]\nburst = -1", vec!["f:2: invalid value '-1' for 'burst <N>'"]),
        (
            "[chat]\nlisten = 'udp:0.0.0.0:1'",
            vec!["f:2: udp 0.0.0.0:1 is reachable from other machines: add udp-public"],
        ),
        (
            "[[chat]]\nlisten = '127.0.0.1:1'\nconsole = true\n[[chat]]\nlisten = '127.0.0.1:2'\nconsole = true",
            vec!["f:4: the terminal is already the console"],
        ),
        (
            "[echo]\n[upper]\nlisten = '127.0.0.1:7000'",
            vec!["f:2: another section already listens on tcp 127.0.0.1:7000"],
        ),
        (
            "[echo]\nframing = 'u9'\n[greet]\nsize = 3\n[nobody]",
            vec!["f:2: invalid value 'u9'", "f:4: unknown key size in greet", "f:5: unknown section nobody"],
        ),
        ("[echo]\n[\"\"]\nengine = 'threads'", vec!["f:2: a section has no name"]),
        ("[echo\n", vec!["f:1: unclosed table, expected `]`"]),
        ("[echo]\n[echo]\n", vec!["f:2: duplicate name: write a section"]),
        ("echo = 3", vec!["f:1: echo is a section: write [echo]"]),
        ("[[limits]]\nmax-connections = 1\n[[limits]]\n[echo]", vec!["f:3: duplicate section limits"]),
        ("[exec]\nallow = ['date', 'no-such-program']\n", vec!["f:2: allow: 'no-such-program' is not in PATH"]),
        (
            "[exec]\nallow = [\n  'date',\n  'no-such-program',\n]\n",
            vec!["f:4: allow: 'no-such-program' is not in PATH"],
        ),
        ("[exec]\nallow = 'date'\nshell = true", vec!["f:3: shell allows every command: remove allow or shell"]),
        ("[exec]\nallow = 'date'\njobs = 0", vec!["f:3: jobs must be at least 1"]),
        (
            "[exec]\nallow = 'date'\ndialect = 'plain'",
            vec!["f:3: invalid value 'plain' for 'dialect <NAME>' [possible values: header, length, ready]"],
        ),
        (
            "[exec]\nallow = 'date'\nlisten = [\n  '127.0.0.1:1',\n  '0.0.0.0:2',\n]",
            vec!["f:5: tcp 0.0.0.0:2 is reachable from other machines: add token-file"],
        ),
        ("[parrot]\nlisten = 'udp:127.0.0.1:1'", vec!["f:2: parrot does not support UDP: remove udp:127.0.0.1:1"]),
        ("[chat]\ncolour = 'eva=red'", vec!["f:2: colour applies only to the console: add console"]),
        ("[chat]\nframing = 'u8'", vec!["f:2: tcp 127.0.0.1:8000 cannot use the framing u8"]),
        ("[greet]\ntemplate = '你'\nencoding = 'latin1'", vec!["f:2: template '你' cannot be encoded"]),
        ("[exec]\n", vec!["f:1: exec needs to know what it may run: add allow PROGRAM"]),
        ("[echo]\n[robot]\nname = 'x'\nrules = 'nowhere.toml'", vec!["f:4: cannot read nowhere.toml"]),
        (
            "[files]\nroot = 'nowhere'\n[echo]\nfoo = 1",
            vec!["f:2: cannot serve nowhere", "f:4: unknown key foo in echo"],
        ),
        ("[files]\n", vec!["f:1: files"]),
        ("[echo]\n\"a\\u001b\" = 1", vec!["f:2: unknown key a\\u{1b} in echo: its keys are"]),
    ] {
        let errors = plan(text).expect_err(text);
        assert_eq!(errors.len(), expected.len(), "{text}: {errors:?}");
        for (error, expected) in errors.iter().zip(expected) {
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}

#[test]
fn framing_error_has_the_line_of_the_framing() {
    for (text, expected) in [
        (
            "[chat]\nlisten = [\n  'lines@127.0.0.1:1',\n  '127.0.0.1:2',\n]\nframing = 'u8'",
            "f:6: tcp 127.0.0.1:2 cannot use the framing u8",
        ),
        (
            "[chat]\nlisten = [\n  '127.0.0.1:1',\n  'u8@127.0.0.1:2',\n]\nframing = 'lines'",
            "f:4: tcp 127.0.0.1:2 cannot use the framing u8",
        ),
        ("[exec]\nallow = 'date'\nframing = 'u16be'", "f:3: tcp 127.0.0.1:8086 cannot use the framing u16be"),
        ("[files]\nroot = '/'\nframing = 'raw'", "f:3: tcp 127.0.0.1:1111 cannot use the framing raw"),
    ] {
        let errors = plan(text).expect_err(text);
        let [error] = &errors[..] else { panic!("{text}: {errors:?}") };
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn any_number_of_jobs_may_run_at_the_same_time() {
    assert_eq!(served("[exec]\nallow = 'sh'\njobs = 18446744073709551615"), ["exec tcp 127.0.0.1:8086 raw"]);
}

#[test]
fn any_port_may_be_used_twice() {
    assert_eq!(served("[[echo]]\nlisten = '127.0.0.1:0'\n[[echo]]\nlisten = '127.0.0.1:0'").len(), 2);
}

/// Returns the example with the lines that begin with `#` and no space uncommented.
fn uncommented_example() -> String {
    let uncomment = |line: &'static str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
    EXAMPLE.lines().map(|line| uncomment(line).to_owned() + "\n").collect()
}

#[test]
fn example_serves_what_needs_no_permission() {
    let plan = plan(EXAMPLE).unwrap();
    let names: BTreeSet<_> = plan.services.iter().map(|planned| planned.builtin.name).collect();
    let all = crate::cli::commands::serve::services::ALL.iter().filter(|builtin| builtin.is_default);
    assert_eq!(names, all.map(|builtin| builtin.name).collect());
}

#[test]
fn uncommented_example_is_valid_and_has_every_key() {
    let plan = plan(&uncommented_example()).unwrap();
    let names: BTreeSet<_> = plan.services.iter().map(|planned| planned.builtin.name).collect();
    let all: BTreeSet<_> = crate::cli::commands::serve::services::ALL.iter().map(|builtin| builtin.name).collect();
    assert_eq!(names, all);
    for builtin in &crate::cli::commands::serve::services::ALL {
        for option in builtin.options.iter().filter(|option| **option != "work-us") {
            assert!(EXAMPLE.contains(&format!("{option} = ")), "{} has {option}", builtin.name);
        }
    }
    assert!(EXAMPLE.contains("listen = "));
}
