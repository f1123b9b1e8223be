//! What happened over time, as CSV: a head, and a row for each sample.

use super::record::Sample;

/// The head. A new column goes to the end.
pub(super) const HEAD: [&str; 13] = [
    "at_ns",
    "length_ns",
    "messages",
    "messages_per_second",
    "p50_ns",
    "p99_ns",
    "max_ns",
    "lost",
    "duplicated",
    "reordered",
    "corrupted",
    "refused",
    "broken",
];

/// The whole text.
pub(super) fn csv(samples: &[Sample]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEAD)?;
    for sample in samples {
        writer.serialize(row(sample))?;
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

type Row = (u64, u64, u64, f64, u64, u64, u64, [u64; 6]);

fn row(sample: &Sample) -> Row {
    let Sample { at_ns, length_ns, messages, messages_per_second, p50_ns, p99_ns, max_ns, faults } = sample;
    let faults = faults.named().map(|(_, count)| count);
    (*at_ns, *length_ns, *messages, *messages_per_second, *p50_ns, *p99_ns, *max_ns, faults)
}
