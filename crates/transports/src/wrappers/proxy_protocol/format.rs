//! What both versions of the PROXY protocol are made of.

/// How version 1 begins.
pub(super) const V1_BEGIN: &[u8] = b"PROXY ";

/// How version 2 begins.
pub(super) const V2_BEGIN: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The part of version 2 that has always this size, with the length of the rest at its end.
pub(super) const V2_FIXED: usize = 16;

pub(super) const VERSION: u8 = 2;
pub(super) const LOCAL: u8 = 0;
pub(super) const PROXY: u8 = 1;

pub(super) const UNSPECIFIED: u8 = 0;
pub(super) const INET: u8 = 1;
pub(super) const INET6: u8 = 2;
pub(super) const UNIX: u8 = 3;

pub(super) const STREAM: u8 = 1;
pub(super) const DATAGRAM: u8 = 2;

/// So many bytes there are for the name of a Unix socket.
pub(super) const UNIX_NAME: usize = 108;

/// The kind and the length in front of a value.
pub(super) const VALUE_FIXED: usize = 3;
/// The kinds that concern the header itself.
pub(super) const CRC32C: u8 = 0x03;
pub(super) const NOOP: u8 = 0x04;
/// The most that a unique identifier may have.
pub(super) const LONGEST_ID: usize = 128;

/// The checksum of RFC 4960, appendix B. A header is short and comes once for each connection, so it is
/// computed bit by bit.
pub(super) fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let reduced = if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
            (crc >> 1) ^ reduced
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w7_the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32c(b"123456789".iter()), 0xE306_9283);
        assert_eq!(crc32c([0; 32].iter()), 0x8A91_36AA);
        assert_eq!(crc32c([0xFF; 32].iter()), 0x62A8_AB43);
    }
}
