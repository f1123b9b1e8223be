//! An exec service on an engine, and a client that knows nothing but the bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;
use switchboard::services::exec::{Allowed, Exec, ExecDialect, ExecRules, Program};
use switchboard::{Framing, Limits};

use crate::support::{Engine, RunningEngine, guard, listen_tcp};

/// The rules that allow these programs.
pub(crate) fn allowing(names: &[&str]) -> ExecRules {
    let programs = names.iter().map(|name| Program::find(name).unwrap()).collect();
    ExecRules { timeout: guard(), ..ExecRules::new(Allowed::Programs(programs)) }
}

pub(crate) fn shell() -> ExecRules {
    ExecRules { timeout: guard(), ..ExecRules::new(Allowed::Shell) }
}

/// The service on a port of its own.
pub(crate) fn open<E: Engine>(rules: ExecRules) -> (RunningEngine, SocketAddr) {
    open_framed::<E>(rules, Framing::Raw)
}

pub(crate) fn open_framed<E: Engine>(rules: ExecRules, framing: Framing) -> (RunningEngine, SocketAddr) {
    let limits = Limits { drain_timeout: Duration::from_millis(100), ..Limits::default() };
    let mut engine = E::with_limits(limits);
    let exec = Exec::new(rules);
    let exec = engine.add_service(exec.options("exec"), exec);
    let addr = listen_tcp(&mut engine, exec, framing);
    (RunningEngine::start(engine), addr)
}

pub(crate) struct Asker(pub(crate) TcpStream);

/// An answer in [`ExecDialect::Header`].
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) header: String,
    pub(crate) fields: serde_json::Value,
    pub(crate) output: Vec<u8>,
}

impl Asker {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        stream.set_write_timeout(Some(guard())).unwrap();
        Self(stream)
    }

    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        self.0.read_exact(&mut read).expect("so many bytes");
        read
    }

    pub(crate) fn four(&mut self) -> i32 {
        i32::from_le_bytes(self.exactly(4).try_into().unwrap())
    }

    /// The next answer in [`ExecDialect::Length`].
    pub(crate) fn length(&mut self) -> Vec<u8> {
        let bytes = self.four();
        self.exactly(bytes.try_into().expect("a length is not below zero"))
    }

    /// The next answer in [`ExecDialect::Header`].
    pub(crate) fn header(&mut self) -> Answer {
        let bytes = self.four().try_into().unwrap();
        let header = String::from_utf8(self.exactly(bytes)).unwrap();
        let fields: serde_json::Value = serde_json::from_str(&header).unwrap();
        let output = self.exactly(fields["total_size"].as_u64().unwrap().try_into().unwrap());
        Answer { header, fields, output }
    }

    /// The announcement in [`ExecDialect::Ready`], which is one message.
    pub(crate) fn ready(&mut self) -> usize {
        let bytes = self.message();
        let text = std::str::from_utf8(&bytes).unwrap();
        text.strip_prefix("Ready|").unwrap_or_else(|| panic!("not ready: {text}")).parse().unwrap()
    }

    /// Asks in [`ExecDialect::Header`]; the output.
    pub(crate) fn ask(&mut self, line: impl AsRef<[u8]>) -> String {
        self.say(line);
        String::from_utf8_lossy(&self.header().output).into_owned()
    }

    /// Asks in any dialect; the output.
    pub(crate) fn ask_in(&mut self, dialect: ExecDialect, line: impl AsRef<[u8]>) -> Vec<u8> {
        self.say(line);
        match dialect {
            ExecDialect::Header => self.header().output,
            ExecDialect::Length => self.length(),
            ExecDialect::Ready => {
                let bytes = self.ready();
                self.say("Start");
                self.exactly(bytes)
            }
        }
    }

    /// Panics unless the server ends the connection here.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.message(), b"", "an end was expected");
    }

    /// Returns the bytes of one read. The end of a child may interrupt it; a read with a timeout is
    /// not restarted (signal(7)).
    fn message(&mut self) -> Vec<u8> {
        let mut bytes = [0; 64];
        loop {
            match self.0.read(&mut bytes) {
                Ok(read) => return bytes[..read].to_vec(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("neither bytes nor an end: {error}"),
            }
        }
    }

    pub(crate) fn reset(self) {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
