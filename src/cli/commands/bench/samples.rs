//! The samples of a result as CSV: a header, then one row for each sample.

use super::record::SampleRecord;

/// The header. A new column is added at the end.
pub(super) const HEADER: [&str; 13] = [
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

/// Returns the whole file.
pub(super) fn csv(samples: &[SampleRecord]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for sample in samples {
        writer.serialize(row(sample))?;
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

type CsvRow = (u64, u64, u64, f64, u64, u64, u64, [u64; 6]);

fn row(sample: &SampleRecord) -> CsvRow {
    let SampleRecord { at_ns, length_ns, messages, messages_per_second, p50_ns, p99_ns, max_ns, faults } = sample;
    let faults = faults.named().map(|(_, count)| count);
    (*at_ns, *length_ns, *messages, *messages_per_second, *p50_ns, *p99_ns, *max_ns, faults)
}
