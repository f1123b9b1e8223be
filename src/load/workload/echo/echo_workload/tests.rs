//! The rules for what a connection may send, without a driver.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::*;
use crate::load::net::LoadSocket;
use crate::load::pace::SendSchedule;
use crate::net::SocketStream;

const PAYLOAD: usize = 64;

fn rig(activity: Activity) -> (EchoWorkload, LoadConnection<EchoClient>, RunContext) {
    let config = LoadConfig {
        target: "127.0.0.1:9".parse().unwrap(),
        framing: Framing::Raw,
        connections: 1,
        payload_bytes: PAYLOAD..=PAYLOAD,
        activity,
        slow_readers: 0,
        ramp: Duration::ZERO,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(1),
        reply_timeout: Duration::from_secs(1),
        seed: 1,
    };
    let mut workload = EchoWorkload::new(&config);
    let (ours, _) = UnixStream::pair().unwrap();
    let socket = LoadSocket::Stream(SocketStream::from(ours));
    let mut context = RunContext::new(activity).unwrap();
    let mut connection = LoadConnection::new(socket, 0, 0, workload.new_client(false));
    workload.on_connected(&mut connection, &mut context).unwrap();
    (workload, connection, context)
}

/// Returns the bytes of the messages that may be sent now.
fn sent(workload: &mut EchoWorkload, connection: &mut LoadConnection<EchoClient>, context: &mut RunContext) -> Vec<u8> {
    let mut batch = WriteBatch::new(1 << 20);
    workload.fill_batch(connection, &mut batch, context);
    batch.bytes
}

#[test]
fn a_closed_loop_sends_nothing_while_its_answers_are_outstanding() {
    let (mut workload, mut connection, mut context) = rig(Activity::Closed { in_flight: 2 });
    context.send_policy = SendPolicy::KeepInFlight(2);
    let messages = sent(&mut workload, &mut connection, &mut context);
    assert_eq!(messages.len(), 2 * PAYLOAD);
    assert!(sent(&mut workload, &mut connection, &mut context).is_empty());
    workload.on_input(&mut connection, &messages[..PAYLOAD], &mut context).unwrap();
    assert_eq!(sent(&mut workload, &mut connection, &mut context).len(), PAYLOAD, "one answer, one message");
}

#[test]
fn an_open_loop_sends_what_is_due_whatever_is_outstanding() {
    let (mut workload, mut connection, mut context) = rig(Activity::Open { rate: 1000.0 });
    let mut schedule = SendSchedule::new(0, 1000.0, 1);
    schedule.advance(9_500_000);
    context.send_policy = SendPolicy::Scheduled(schedule);
    connection.next_number = 0;
    assert_eq!(sent(&mut workload, &mut connection, &mut context).len(), 10 * PAYLOAD);
    let SendPolicy::Scheduled(schedule) = &mut context.send_policy else { panic!("the policy has changed") };
    schedule.advance(500_000_000);
    assert_eq!(sent(&mut workload, &mut connection, &mut context).len(), (MIN_IN_FLIGHT.max(501) - 10) * PAYLOAD);
}
