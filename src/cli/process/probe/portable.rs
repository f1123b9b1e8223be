//! The stand-in on systems without `/proc`: no process can be opened.

use std::time::Duration;

use super::sample::ProcessSample;

#[derive(Debug)]
pub(super) struct ProcessFiles;

impl ProcessFiles {
    pub(super) fn open(_pid: u32) -> Option<Self> {
        None
    }

    pub(super) fn descriptors(&self) -> Option<u64> {
        None
    }

    pub(super) fn cpu(&self) -> Option<Duration> {
        None
    }

    pub(super) fn sample_without_cpu(&self) -> Option<ProcessSample> {
        None
    }
}
