//! The samples of a result as CSV: a header, then one row for each sample.

use super::result::SampleRecord;
use crate::cli::error::CliError;

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
pub(super) fn csv(samples: &[SampleRecord]) -> Result<String, CliError> {
    let error = |cause: csv::Error| CliError::Failed(format!("cannot write the result: {cause}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER).map_err(error)?;
    for sample in samples {
        writer.serialize(row(sample)).map_err(error)?;
    }
    let bytes = writer.into_inner().map_err(|cause| error(cause.into_error().into()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

type CsvRow = (u64, u64, u64, f64, u64, u64, u64, [u64; 6]);

fn row(sample: &SampleRecord) -> CsvRow {
    let SampleRecord { at_ns, length_ns, messages, messages_per_second, p50_ns, p99_ns, max_ns, faults } = sample;
    let faults = faults.named().map(|(_, count)| count);
    (*at_ns, *length_ns, *messages, *messages_per_second, *p50_ns, *p99_ns, *max_ns, faults)
}
