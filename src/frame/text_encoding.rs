//! Character encodings: converts text to bytes and back.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use encoding_rs::{DecoderResult, EncoderResult, Encoding};

/// A character encoding: one of those in the [WHATWG standard](https://encoding.spec.whatwg.org/)
/// that contain ASCII. A line feed, a space and a `Bye` have the same bytes in all of them. The
/// converse does not hold for letters: in GBK, Big5 and `Shift_JIS` the second byte of a character
/// may be an ASCII letter.
///
/// ```
/// use switchboard::TextEncoding;
///
/// let gbk: TextEncoding = "gbk".parse()?;
/// assert_eq!(*gbk.encode("你好")?, [0xc4, 0xe3, 0xba, 0xc3]);
/// assert_eq!(gbk.decode(&[0xc4, 0xe3, 0xba, 0xc3]).as_deref(), Some("你好"));
/// assert_eq!(gbk.decode(&[0xff]), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TextEncoding(&'static Encoding);

impl TextEncoding {
    /// UTF-8, the default.
    pub const UTF_8: Self = Self(encoding_rs::UTF_8);

    /// Decodes `bytes`; `None` if they are not valid in this encoding. A byte order mark is decoded
    /// like any other character.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        self.0.decode_without_bom_handling_and_without_replacement(bytes)
    }

    /// Decodes the start of a longer text, which may end inside a character: that character is
    /// removed. `None` if the bytes before it are not valid in this encoding.
    pub fn decode_truncated(&self, bytes: &[u8]) -> Option<String> {
        let mut decoder = self.0.new_decoder_without_bom_handling();
        let mut text = String::with_capacity(decoder.max_utf8_buffer_length_without_replacement(bytes.len())?);
        let (result, _) = decoder.decode_to_string_without_replacement(bytes, &mut text, false);
        (result == DecoderResult::InputEmpty).then_some(text)
    }

    /// Decodes `bytes`, with `U+FFFD`, the replacement character, for each invalid sequence.
    pub fn decode_lossy<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        self.0.decode_without_bom_handling(bytes).0
    }

    /// Returns true if `bytes` are valid text up to a character that is cut off at the end. The
    /// rest of the character may come with the next bytes of the stream.
    ///
    /// ```
    /// use switchboard::TextEncoding;
    ///
    /// let (cut, rest) = "你好".as_bytes().split_at(4);
    /// assert!(TextEncoding::UTF_8.ends_inside_character(cut));
    /// assert!(!TextEncoding::UTF_8.ends_inside_character(&[cut, rest].concat()));
    /// ```
    pub fn ends_inside_character(&self, bytes: &[u8]) -> bool {
        let mut decoder = self.0.new_decoder_without_bom_handling();
        let max_text_bytes = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(0);
        let mut text = String::with_capacity(max_text_bytes);
        let (result, _) = decoder.decode_to_string_without_replacement(bytes, &mut text, false);
        // At the end of the stream, what the decoder still keeps is malformed.
        let mut is_cut =
            || decoder.decode_to_utf8_without_replacement(&[], &mut [0; 16], true).0 != DecoderResult::InputEmpty;
        result == DecoderResult::InputEmpty && is_cut()
    }

    /// Encodes `text`.
    ///
    /// # Errors
    /// [`UnencodableError`] names the first character that the encoding lacks.
    pub fn encode<'a>(&self, text: &'a str) -> Result<Cow<'a, [u8]>, UnencodableError> {
        let (bytes, _, replaced) = self.0.encode(text);
        if !replaced {
            return Ok(bytes);
        }
        Err(UnencodableError { character: self.first_unencodable(text), encoding: *self })
    }

    /// Encodes `text`, with a question mark for each character that the encoding lacks.
    pub fn encode_lossy<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        self.encode(text).unwrap_or_else(|_| {
            let replaced = |c: char| if self.encode(c.encode_utf8(&mut [0; 4])).is_ok() { c } else { '?' };
            let text: String = text.chars().map(replaced).collect();
            Cow::Owned(self.0.encode(&text).0.into_owned())
        })
    }

    /// Returns the encoding's name in the standard, such as `UTF-8` or `GBK`.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Returns the encoding of the `encoding_rs` crate.
    pub fn encoding(&self) -> &'static Encoding {
        self.0
    }

    fn first_unencodable(self, text: &str) -> char {
        let mut encoder = self.0.new_encoder();
        let room = encoder.max_buffer_length_from_utf8_without_replacement(text.len()).unwrap_or(0);
        match encoder.encode_from_utf8_without_replacement(text, &mut vec![0; room], true).0 {
            EncoderResult::Unmappable(character) => character,
            EncoderResult::InputEmpty | EncoderResult::OutputFull => char::REPLACEMENT_CHARACTER,
        }
    }
}

impl Default for TextEncoding {
    fn default() -> Self {
        Self::UTF_8
    }
}

impl fmt::Display for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextEncoding({self})")
    }
}

impl FromStr for TextEncoding {
    type Err = String;

    /// Parses a label of the standard, in any case: `utf-8`, `gbk`, `latin1`.
    fn from_str(label: &str) -> Result<Self, String> {
        let encoding = Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            "no such encoding: write a label of the WHATWG standard, such as utf-8, gbk or latin1".to_owned()
        })?;
        if encoding.is_ascii_compatible() && encoding.output_encoding() == encoding {
            Ok(Self(encoding))
        } else {
            Err(format!("{} does not contain ASCII, so line feeds cannot be found in it", encoding.name()))
        }
    }
}

/// The error of encoding a text with a character that the encoding lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnencodableError {
    /// The first such character.
    pub character: char,
    /// The encoding.
    pub encoding: TextEncoding,
}

impl fmt::Display for UnencodableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no '{}'", self.encoding, self.character.escape_debug())
    }
}

impl std::error::Error for UnencodableError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_is_the_inverse_of_encode() {
        for (label, text, bytes) in [
            ("utf-8", "né", &b"n\xc3\xa9"[..]),
            ("latin1", "né", b"n\xe9"),
            ("GBK", "你好", b"\xc4\xe3\xba\xc3"),
            ("gbk", "", b""),
        ] {
            let encoding: TextEncoding = label.parse().unwrap();
            assert_eq!(encoding.encode(text).as_deref(), Ok(bytes), "{label}");
            assert_eq!(encoding.decode(bytes).as_deref(), Some(text), "{label}");
        }
    }

    #[test]
    fn decode_rejects_invalid_bytes() {
        let gbk: TextEncoding = "gbk".parse().unwrap();
        for (encoding, bytes) in [(TextEncoding::UTF_8, &b"a\xff"[..]), (gbk, b"a\xff"), (gbk, b"\xc4")] {
            assert_eq!(encoding.decode(bytes), None, "{encoding}");
            assert!(encoding.decode_lossy(bytes).ends_with('\u{fffd}'), "{encoding}");
        }
        assert_eq!(TextEncoding::UTF_8.decode(b"\xef\xbb\xbfa").as_deref(), Some("\u{feff}a"));
    }

    #[test]
    fn cut_character_is_recognized_in_each_encoding() {
        for (label, text) in [
            ("utf-8", "né 你好 😀"),
            ("gbk", "né 你好"),
            ("gb18030", "né 你好 😀 ß"),
            ("big5", "n 你好"),
            ("shift_jis", "n 日本 ｶﾅ"),
            ("euc-jp", "n 日本 ｶﾅ"),
            ("euc-kr", "n 한국"),
            ("latin1", "né ÿ"),
            ("windows-1251", "моя"),
        ] {
            let encoding: TextEncoding = label.parse().unwrap();
            let bytes = encoding.encode(text).unwrap();
            let mut ends = vec![0];
            for c in text.chars() {
                ends.push(ends.last().unwrap() + encoding.encode(c.encode_utf8(&mut [0; 4])).unwrap().len());
            }
            for at in 0..=bytes.len() {
                assert_eq!(encoding.ends_inside_character(&bytes[..at]), !ends.contains(&at), "{label} {at}");
            }
        }
        // Text in another encoding is not taken for a cut character.
        assert!(!TextEncoding::UTF_8.ends_inside_character(b"\xc4\xe3\xba\xc3"));
    }

    #[test]
    fn decode_truncated_removes_an_incomplete_character_only() {
        let gb18030: TextEncoding = "gb18030".parse().unwrap();
        for (encoding, bytes) in [(TextEncoding::UTF_8, "好🦀".as_bytes()), (gb18030, b"\xba\xc3\x94\x39\xc7\x32")] {
            assert_eq!(encoding.decode_truncated(bytes).as_deref(), Some("好🦀"), "{encoding}");
            for cut in 1..4 {
                let start = &bytes[..bytes.len() - cut];
                assert_eq!(encoding.decode_truncated(start).as_deref(), Some("好"), "{encoding} {cut}");
            }
            for invalid in [&b"\xff"[..], b"\xff\0", b"a\xff"] {
                assert_eq!(encoding.decode_truncated(invalid), None, "{encoding}");
            }
        }
    }

    #[test]
    fn encode_names_or_replaces_a_missing_character() {
        let latin: TextEncoding = "latin1".parse().unwrap();
        assert_eq!(latin.encode("né 你").unwrap_err().to_string(), "windows-1252 has no '你'");
        assert_eq!(*latin.encode_lossy("né 你!"), *b"n\xe9 ?!");
    }

    #[test]
    fn encodings_without_ascii_are_rejected() {
        assert!("utf-16".parse::<TextEncoding>().unwrap_err().contains("does not contain ASCII"));
        assert!("klingon".parse::<TextEncoding>().unwrap_err().starts_with("no such encoding"));
    }
}
