//! A UDP socket that sends and receives text in an encoding of choice.
