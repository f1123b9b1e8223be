//! Requests with and without the token.

use switchboard::services::exec::{ExecDialect, ExecRules};

use super::asker::{Asker, allowing, open};
use crate::support::{Engine, conformance};

conformance! {
    a_request_begins_with_the_token,
    wrong_token_is_reported_and_closes,
}

const TOKEN: &str = "0123456789abcdef-secret";

fn rules(dialect: ExecDialect) -> ExecRules {
    ExecRules { token: Some(TOKEN.parse().unwrap()), dialect, ..allowing(&["echo"]) }
}

fn a_request_begins_with_the_token<E: Engine>() {
    for dialect in [ExecDialect::Header, ExecDialect::Length, ExecDialect::Ready] {
        let (running, addr) = open::<E>(rules(dialect));
        let mut asker = Asker::connect(addr);
        for line in [format!("{TOKEN}\necho hi"), format!("{TOKEN}\r\necho hi\r\n"), format!("{TOKEN}\necho hi\n")] {
            assert_eq!(asker.ask_in(dialect, line), b"hi\n");
        }
        assert_eq!(asker.ask_in(dialect, format!("{TOKEN}\nrm")), b"exec: 'rm' is not allowed; allowed: echo\n");
        if dialect == ExecDialect::Ready {
            asker.say(format!("{TOKEN}\necho hi"));
            assert_eq!(asker.ready(), 3);
            asker.say(format!("{TOKEN}\nStart"));
            assert_eq!(asker.exactly(3), b"hi\n");
        }
        drop(asker);
        running.drain();
    }
}

fn wrong_token_is_reported_and_closes<E: Engine>() {
    let says = b"exec: the token is wrong or missing: begin each request with it, on a line of its own\n";
    for dialect in [ExecDialect::Header, ExecDialect::Length, ExecDialect::Ready] {
        let (running, addr) = open::<E>(rules(dialect));
        for line in [
            "echo hi".to_owned(),
            "\necho hi".to_owned(),
            TOKEN.to_owned(),
            format!("{TOKEN} \necho hi"),
            format!(" {TOKEN}\necho hi"),
            format!("{}\necho hi", &TOKEN[..16]),
            format!("{}\necho hi", &TOKEN[..TOKEN.len() - 1]),
            format!("{TOKEN}x\necho hi"),
            format!("{TOKEN}echo hi"),
            format!("{}\necho hi", TOKEN.to_uppercase()),
            format!("echo hi\n{TOKEN}"),
            "Start".to_owned(),
        ] {
            let mut asker = Asker::connect(addr);
            assert_eq!(asker.ask_in(dialect, &line), says, "{dialect} {line:?}");
            asker.expect_end();
        }
        // Known once is not known for ever.
        let mut asker = Asker::connect(addr);
        assert_eq!(asker.ask_in(dialect, format!("{TOKEN}\necho hi")), b"hi\n");
        assert_eq!(asker.ask_in(dialect, "echo hi"), says);
        asker.expect_end();
        running.drain();
    }
}
