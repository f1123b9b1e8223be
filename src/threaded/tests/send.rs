//! Output from another thread while the connection's own thread waits, works or has ended.

use super::Rig;
use crate::connection::scripted_stream::{ScriptedCall, framed, received};
use crate::engine::limits::Limits;

#[test]
fn the_sender_writes_for_a_thread_that_waits() {
    let rig = Rig::new(Limits::default());
    let (mut sender, receiver) = rig.connect_two();
    sender.send(["send 1 hello"]);
    assert_eq!(received(&receiver.socket), ["hello"]);
    assert!(!receiver.is_woken(), "its thread sleeps on");
    assert_eq!(receiver.socket.write_sizes().len(), 1);
}

#[test]
fn output_for_a_thread_at_work_waits_in_the_inbox() {
    let rig = Rig::new(Limits::default());
    let (mut sender, mut receiver) = rig.connect_two();
    let shared_conn = receiver.shared_conn();
    let at_work = shared_conn.conn();
    sender.send(["send 1 one", "send 1 two"]);
    drop(at_work);
    assert!(received(&receiver.socket).is_empty());
    assert!(shared_conn.has_pending() && !receiver.is_woken(), "it looks into the inbox before it waits");
    receiver.run();
    assert_eq!(received(&receiver.socket), ["one", "two"]);
    assert!(!shared_conn.has_pending());
}

#[test]
fn output_that_came_earlier_goes_before_the_replies() {
    let rig = Rig::new(Limits::default());
    let (mut sender, mut receiver) = rig.connect_two();
    let shared_conn = receiver.shared_conn();
    let at_work = shared_conn.conn();
    sender.send(["send 1 earlier"]);
    drop(at_work);
    receiver.send(["reply"]);
    assert_eq!(received(&receiver.socket), ["earlier", "reply"]);
}

#[test]
fn the_own_thread_writes_what_the_sender_could_not() {
    let rig = Rig::new(Limits::default());
    let (mut sender, mut receiver) = rig.connect_two();
    receiver.socket.set_room(3);
    sender.send(["send 1 hello"]);
    assert_eq!(receiver.socket.written().len(), 3, "half a frame");
    assert!(receiver.is_woken());
    receiver.run();
    sender.send(["send 1 again"]);
    assert!(!receiver.is_woken(), "a thread that waits to write is not woken");
    receiver.socket.set_room(1_000);
    receiver.run();
    assert_eq!(received(&receiver.socket), ["hello", "again"]);
}

#[test]
fn output_stays_in_order_when_writes_are_short_or_interrupted() {
    let rig = Rig::new(Limits::default());
    let (mut sender, mut receiver) = rig.connect_two();
    receiver.socket.script_writes([
        ScriptedCall::Interrupted,
        ScriptedCall::AtMost(1),
        ScriptedCall::WouldBlock,
        ScriptedCall::AtMost(4),
    ]);
    let shared_conn = receiver.shared_conn();
    for number in 0..4 {
        // Every other message waits in the inbox until the receiver's thread replies.
        let at_work = (number % 2 == 1).then(|| shared_conn.conn());
        sender.send([format!("send 1 message {number}")]);
        drop(at_work);
        receiver.send([format!("reply {number}")]);
    }
    receiver.run();
    let expected: Vec<_> = (0..4).flat_map(|it| [format!("message {it}"), format!("reply {it}")]).collect();
    assert_eq!(received(&receiver.socket), expected);
}

#[test]
fn a_broadcast_reaches_each_open_connection_once() {
    let rig = Rig::new(Limits::default());
    let mut clients: Vec<_> = (0..4).map(|_| rig.connect()).collect();
    clients[2].socket.finish();
    clients[2].run();
    assert!(clients[2].has_ended());
    clients[0].send(["all news"]);
    for number in [0, 1, 3] {
        assert_eq!(received(&clients[number].socket), ["news"], "client {number}");
    }
    assert!(clients[2].socket.written().is_empty());
    // The id of the connection that has ended is stale; its slot has a new tenant.
    let new = rig.connect();
    clients[0].send(["send 2 hello"]);
    assert!(new.socket.written().is_empty());
}

#[test]
fn messages_of_a_batch_and_replies_keep_their_order_for_the_sender() {
    let rig = Rig::new(Limits::default());
    let (mut sender, receiver) = rig.connect_two();
    sender.send(["send-then-reply a", "twice b", "batch c d|e"]);
    assert_eq!(received(&sender.socket), ["sent a", "replied a", "b", "b", "c", "d", "e", "done"]);
    assert_eq!(received(&receiver.socket), ["c", "d", "e"]);
}

#[test]
fn an_instance_reaches_its_own_connection_only() {
    let rig = Rig::with_instances(Limits::default());
    let mut sender = rig.connect();
    let other = rig.connect();
    sender.send(["send 1 hello", "all news"]);
    assert_eq!(received(&sender.socket), ["news"]);
    assert!(other.socket.written().is_empty());
}

#[test]
fn an_idle_thread_frees_its_buffers() {
    for rig in [Rig::new(Limits::default()), Rig::with_instances(Limits::default())] {
        let mut client = rig.connect();
        client.socket.send(&framed(["hello"]));
        while client.step() && received(&client.socket).is_empty() {}
        assert!(client.thread.receive_buffer.capacity() > 0);
        // The longest time that a busy thread waits for input.
        client.run();
        rig.advance_time(super::super::socket::READ_TIMEOUT);
        client.run();
        assert_eq!(client.thread.receive_buffer.capacity(), 0);
        client.send(["again"]);
        assert_eq!(received(&client.socket), ["hello", "again"]);
    }
}
