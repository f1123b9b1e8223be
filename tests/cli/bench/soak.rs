//! `switchboard bench soak`: a short soak of the real server, on each engine.

use serde_json::Value;

use crate::program::run;

/// Runs a soak of some seconds and returns its result.
fn soak(engine: &str) -> Value {
    let output = run(&["bench", "soak", "--minutes=0.05", "--engine", engine, "--json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert_eq!(stderr, "");
    serde_json::from_str(&stdout).unwrap()
}

fn check(engine: &str) {
    let result = soak(engine);
    assert_eq!(result["engine"], engine);
    let sum = |list: &str, key: &str| {
        result[list].as_array().unwrap().iter().map(|one| one[key].as_u64().unwrap()).sum::<u64>()
    };
    assert!(sum("clients", "answers") > 0 && sum("attacks", "rounds") > 0, "{result}");
    assert_eq!(sum("clients", "faults"), 0, "{result}");
    if cfg!(target_os = "linux") {
        assert!(result["after"]["descriptors"].as_u64() <= result["before"]["descriptors"].as_u64(), "{result}");
    }
}

#[test]
fn reactor_survives_a_short_soak() {
    check("reactor");
}

#[test]
fn threads_survive_a_short_soak() {
    check("threads");
}

#[test]
fn impossible_length_is_refused() {
    for minutes in ["0", "-1", "nan", "x", "1e9"] {
        let output = run(&["bench", "soak", "--minutes", minutes]);
        assert_eq!(output.status.code(), Some(2), "{minutes}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("write a number of minutes above 0"), "{minutes}");
    }
}
