//! tmp
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut r = switchboard::Reactor::new(switchboard::Limits::default())?;
    let e = r.add_service("echo", switchboard::services::Echo);
    let port = std::env::args().nth(1).unwrap_or_default();
    println!("{}", r.listen(e, &format!("127.0.0.1:{port}").parse()?, switchboard::Framing::U32BE)?);
    println!("{}", r.listen(e, &format!("udp:127.0.0.1:{port}").parse()?, switchboard::Framing::U32BE)?);
    r.run()?;
    Ok(())
}
