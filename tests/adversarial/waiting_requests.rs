//! Requests that wait for a thread or a command: their memory is counted (line 2 of
//! `docs/overload.md`), and no client takes the threads from the others (line 4).

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use switchboard::{Context, JobId, JobOutput, Limits, Service};

use crate::support::{Client, Engine, conformance, guard, serve};

conformance! {
    one_client_takes_neither_all_threads_nor_all_places,
}

/// Offloads a job for each request and replies with it. `wait` waits until the gate is open.
struct JobService {
    gate: Arc<Mutex<Receiver<()>>>,
    waiting: Sender<()>,
}

impl Service for JobService {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let (request, gate, waiting) = (payload.to_vec(), Arc::clone(&self.gate), self.waiting.clone());
        cx.offload(move || {
            if request == b"wait" {
                waiting.send(()).unwrap_or_default();
                // The sender is dropped when the gate opens.
                let _ = gate.lock().unwrap().recv_timeout(guard());
            }
            request
        });
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        match output.take::<Vec<u8>>() {
            Ok(reply) => cx.reply(&reply),
            Err(error) => cx.reply(error.to_string().as_bytes()),
        }
    }
}

/// One client queues more requests than there are threads and places in the queue. Another is
/// answered all the same, and later the first is answered in full.
fn one_client_takes_neither_all_threads_nor_all_places<E: Engine>() {
    let limits = Limits { workers: 2, max_queued_jobs: 8, max_jobs_per_connection: 4, ..Limits::default() };
    let (open, gate) = channel::<()>();
    let (waiting, at_the_gate) = channel();
    let (running, addr) = serve::<E>(limits, JobService { gate: Arc::new(Mutex::new(gate)), waiting });
    let mut flooder = Client::connect(addr);
    (0..100).for_each(|_| flooder.send(b"wait"));
    at_the_gate.recv_timeout(guard()).unwrap();
    let mut other = Client::connect(addr);
    for _ in 0..100 {
        assert_eq!(other.ask(b"now"), b"now");
    }
    drop(open);
    for _ in 0..100 {
        assert_eq!(flooder.receive(), b"wait");
    }
    drop((flooder, other));
    running.drain();
}

#[cfg(all(feature = "cli", target_os = "linux"))]
mod memory {
    use std::fs::{self, File};
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;
    use std::process::Stdio;
    use std::thread;

    use crate::program::{Program, Signal, command};
    use crate::support::{encode_frame, guard};

    const MIB: u64 = 1 << 20;

    fn serve(args: &[&str]) -> (Program, String) {
        let mut command = command(&["serve"]);
        command.args(args).args(["--listen", "127.0.0.1:0"]);
        let mut program = Program::start(command.stdout(Stdio::piped()));
        let address = program.address("tcp");
        (program, address)
    }

    /// Returns a line of `/proc/PID/status` in MiB (`proc_pid_status(5)`).
    fn memory(program: &Program, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() / 1024
    }

    fn buffered_bytes(program: &mut Program) -> u64 {
        program.signal(Signal::USR1);
        let line = program.logged("buffered_bytes=");
        let value = line.split("buffered_bytes=").nth(1).unwrap();
        value.split(' ').next().unwrap().parse().unwrap()
    }

    /// 60 peers queue requests of 1 MiB behind a command that runs.
    #[test]
    fn requests_behind_a_command_are_counted_and_bounded() {
        for engine in ["reactor", "threads"] {
            // The commands outlast the test.
            let (mut program, address) = serve(&[
                "exec",
                "--timeout",
                "10m",
                "--shell",
                "--framing",
                "u32be",
                "--engine",
                engine,
                "--max-buffered-bytes",
                "16m",
                "-v",
            ]);
            let before = memory(&program, "VmHWM:");
            let mut large = b": ".to_vec();
            large.resize((MIB - 100) as usize, b'x');
            let request = encode_frame("u32be", &large);
            let sockets: Vec<_> = (0..60)
                .map(|_| {
                    let mut socket = TcpStream::connect(&address).unwrap();
                    socket.write_all(&encode_frame("u32be", b"sleep 500")).unwrap();
                    socket
                })
                .collect();
            let writers: Vec<_> = sockets
                .iter()
                .map(|socket| {
                    let (mut socket, request) = (socket.try_clone().unwrap(), request.clone());
                    socket.set_write_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
                    // Until the server does not read on, or closes the connection for its memory.
                    thread::spawn(move || (0..16).take_while(|_| socket.write_all(&request).is_ok()).for_each(drop))
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            let counted = buffered_bytes(&mut program);
            // A connection's thread runs the command and reads nothing meanwhile.
            assert!(engine == "threads" || counted > 8 * MIB, "{engine}: {counted} bytes are counted");
            let most = memory(&program, "VmHWM:");
            println!("{engine}: {before} MiB before, {most} MiB at most, {counted} bytes counted");
            assert!(most < before + 80, "{engine}: {before} MiB before, {most} MiB at most");
            drop(sockets);
        }
    }

    /// 200 clients download a large file, and each reads a little now and then.
    #[test]
    fn pieces_of_slow_downloads_are_counted_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("zeros")).unwrap().set_len(64 << 20).unwrap();
        let root = folder.path().to_str().unwrap();
        for engine in ["reactor", "threads"] {
            let (mut program, address) = serve(&[
                "files",
                "--dialect",
                "plain",
                "--root",
                root,
                "--engine",
                engine,
                "--max-buffered-bytes",
                "32m",
                "-v",
            ]);
            let before = memory(&program, "VmHWM:");
            let mut sockets: Vec<_> = (0..200)
                .map(|_| {
                    let mut socket = TcpStream::connect(&address).unwrap();
                    socket.set_read_timeout(Some(guard())).unwrap();
                    socket.write_all(b"zeros").unwrap();
                    socket
                })
                .collect();
            let mut most_counted = 0;
            for _ in 0..20 {
                for socket in &mut sockets {
                    match socket.read(&mut vec![0; 30_000]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("a download stands"),
                        _ => {}
                    }
                }
                most_counted = most_counted.max(buffered_bytes(&mut program));
            }
            let most = memory(&program, "VmHWM:");
            println!("{engine}: {before} MiB before, {most} MiB at most, {most_counted} bytes counted at most");
            assert!(most_counted < 64 * MIB, "{engine}: {most_counted} bytes are counted");
            assert!(most < before + 100, "{engine}: {before} MiB before, {most} MiB at most");
        }
    }
}
