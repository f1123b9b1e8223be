//! The lines that the user sends: from a terminal with a line editor, or from a pipe.

use std::collections::VecDeque;
use std::io::{self, BufReader, Stdin};

use crate::cli::error::CliError;
use crate::cli::process::signals;
use crate::cli::terminal::{EditedLine, InputLine, LineEditor, SavedTerminal};

/// Standard input.
pub(super) enum LineInput {
    Pipe(BufReader<Stdin>),
    Terminal {
        editor: Box<LineEditor>,
        prompt: String,
        /// The remaining lines of a text that was pasted in one piece.
        pasted: VecDeque<String>,
        /// Restores the terminal when the input is dropped.
        _saved_terminal: SavedTerminal,
    },
}

impl LineInput {
    pub(super) fn pipe() -> Self {
        Self::Pipe(BufReader::new(io::stdin()))
    }

    pub(super) fn terminal(service: &str) -> Result<Self, CliError> {
        let saved_terminal = SavedTerminal::new();
        let at_signal = saved_terminal.clone();
        signals::on_first_signal(true, move |signal| {
            drop(at_signal);
            signals::end_by_signal(signal);
        })?;
        let editor = Box::new(LineEditor::open(Box::new(()))?);
        let prompt = format!("{service}> ");
        Ok(Self::Terminal { editor, prompt, pasted: VecDeque::new(), _saved_terminal: saved_terminal })
    }

    pub(super) fn next(&mut self) -> Result<InputLine, CliError> {
        match self {
            Self::Pipe(input) => {
                InputLine::read(input).map_err(|error| CliError::Failed(format!("cannot read standard input: {error}")))
            }
            Self::Terminal { editor, prompt, pasted, .. } => loop {
                if let Some(line) = pasted.pop_front() {
                    return Ok(InputLine::Text(line));
                }
                match editor.edit(prompt)? {
                    EditedLine::Text(lines) => pasted.extend(lines.split('\n').map(str::to_owned)),
                    EditedLine::Discarded => {}
                    EditedLine::Invalid(reason) => return Ok(InputLine::Invalid(reason)),
                    EditedLine::End => return Ok(InputLine::End),
                }
            },
        }
    }
}
