//! `call files get`: fetches one file. Under `framed` it resumes a partial file and verifies the
//! checksum; under `plain` neither is possible.

use std::process::ExitCode;

use switchboard::client::files::{DownloadError, DownloadEvent, FileDownload};
use switchboard::services::files::wire::FilesErrorCode;

use super::connection::FilesConnection;
use super::error::CallFilesError;
use super::get_request::GetRequest;
use super::plan::CallFilesPlan;
use crate::cli::error::CliError;
use crate::cli::process::Interrupt;
use crate::cli::transfer::{DownloadSource, OutputFile};

/// Gets a file in the dialect framed.
pub(super) fn get_framed(plan: &CallFilesPlan, request: &GetRequest) -> Result<ExitCode, CliError> {
    let name = request.name.to_str().ok_or_else(|| {
        CliError::Usage(format!("{} is not UTF-8, which the dialect framed requires", request.display_name()))
    })?;
    let source = DownloadSource { server: plan.server.typed(), name };
    let mut output = request.open_output(|path| OutputFile::resumable(path, &source))?;
    // Signals are not watched yet: nothing needs cleaning up, so a signal ends the program
    // immediately.
    let mut download = FileDownload::new(name);
    output.read_existing(|piece| download.add_received(piece)).map_err(|error| request.write_error(&error))?;
    // Connect after reading, so that the server does not wait while a large partial file is hashed.
    let mut connection = match FilesConnection::connect(plan) {
        Ok(connection) => connection,
        Err(error) => {
            let error = error.into();
            request.keep_or_discard(output, &error);
            return error.into_exit_code("", None);
        }
    };
    let interrupt = Interrupt::watch()?;
    let mut has_restarted = false;
    let error = loop {
        let resumed_bytes = download.received_bytes();
        match fetch_framed(&mut connection, plan, request, &mut download, &mut output, &interrupt) {
            Ok(()) => {
                request.finish(output)?;
                request.print_status(&format!("{} bytes, SHA-256 verified", download.received_bytes()));
                return Ok(ExitCode::SUCCESS);
            }
            Err(CallFilesError::Reply(error))
                if !has_restarted && file_has_changed(&error, resumed_bytes) && output.path().is_some() =>
            {
                has_restarted = true;
                request.print_status(&format!("{error}; the file has changed: fetching it from the start"));
                output.restart().map_err(|error| request.write_error(&error))?;
                download = FileDownload::new(name);
                match FilesConnection::connect(plan) {
                    Ok(new) => connection = new,
                    Err(error) => break error.into(),
                }
            }
            Err(error) => break error,
        }
    };
    request.keep_or_discard(output, &error);
    error.into_exit_code(&format!("cannot get {}", request.display_name()), Some(&interrupt))
}

/// Returns true if the error shows that the existing bytes belong to an earlier version of the
/// file.
fn file_has_changed(error: &DownloadError, resumed_bytes: u64) -> bool {
    match error {
        DownloadError::ChecksumMismatch => true,
        DownloadError::Refused(fault) => resumed_bytes > 0 && fault.code == FilesErrorCode::BadOffset.to_string(),
        _ => false,
    }
}

fn fetch_framed(
    connection: &mut FilesConnection<'_>,
    plan: &CallFilesPlan,
    request: &GetRequest,
    download: &mut FileDownload,
    output: &mut OutputFile,
    interrupt: &Interrupt,
) -> Result<(), CallFilesError> {
    connection.send(&download.request())?;
    let mut progress = None;
    while !download.is_complete() {
        let is_first = progress.is_none();
        let limit = if is_first { plan.first_timeout() } else { plan.timeout };
        let mark_first = |error: CallFilesError| if is_first { error.of_first_reply() } else { error };
        let Some(payload) = connection.next_frame(limit, interrupt).map_err(mark_first)? else {
            return Err(mark_first(download.unexpected_eof().into()));
        };
        match download.handle_frame(&payload).map_err(|error| mark_first(error.into()))? {
            DownloadEvent::FileHeader(head) => {
                progress = Some(request.start_progress(output, Some(head.size), head.offset));
            }
            DownloadEvent::Data(bytes) => {
                request.write(output, bytes, interrupt)?;
                if let Some(progress) = &progress {
                    progress.advance(bytes.len() as u64);
                }
            }
        }
    }
    // With trailing data, either the announced size or the data is wrong.
    if connection.has_trailing_data() {
        return Err(download.trailing_data().into());
    }
    Ok(download.clone().verify()?)
}

/// Gets a file in the dialect plain. It does not mark the end of the file, so a lost connection
/// looks like one; therefore no partial file is kept.
pub(super) fn get_plain(plan: &CallFilesPlan, request: &GetRequest) -> Result<ExitCode, CliError> {
    let name = request.encoded_name(plan.encoding)?;
    let mut connection = FilesConnection::connect(plan)?;
    let mut output = request.open_output(OutputFile::temporary)?;
    let interrupt = Interrupt::watch()?;
    match fetch_plain(&mut connection, plan, request, &name, &mut output, &interrupt) {
        Ok(0) => Err(plan.server.error(&format!(
            "received no data: {} is empty or was refused, which the dialect plain cannot distinguish; no file written; \
             check whether the server uses --dialect framed",
            request.display_name()
        ))),
        Ok(bytes) => {
            request.finish(output)?;
            request.print_status(&format!("{bytes} bytes; the dialect plain cannot verify that the file is complete"));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => error.into_exit_code(&format!("cannot get {}", request.display_name()), Some(&interrupt)),
    }
}

fn fetch_plain(
    connection: &mut FilesConnection<'_>,
    plan: &CallFilesPlan,
    request: &GetRequest,
    name: &[u8],
    output: &mut OutputFile,
    interrupt: &Interrupt,
) -> Result<u64, CallFilesError> {
    connection.send(name)?;
    let progress = request.start_progress(output, None, 0);
    let mut total = 0;
    while let Some(bytes) = connection.next_bytes(plan.timeout, interrupt)? {
        request.write(output, bytes, interrupt)?;
        progress.advance(bytes.len() as u64);
        total += bytes.len() as u64;
    }
    Ok(total)
}
