//! Counts in texts for users: "no rooms", "1 room", "2 rooms".

/// Returns the number and the thing it counts.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    match number {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_right() {
        let read = [0, 1, 2].map(|number| counted(number, "delivery", "deliveries"));
        assert_eq!(read, ["no deliveries", "1 delivery", "2 deliveries"]);
    }
}
