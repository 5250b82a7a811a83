//! The mark that the flawed RSA key generator of CVE-2017-15361 (ROCA) leaves on a modulus.

/// Primes for which the powers of 65537 are few; among them is every remainder of such a modulus.
/// Of sound keys one in two hundred million has the same by chance.
const PRIMES: [u32; 17] =
    [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/// Whether a big-endian modulus bears the mark: it can be factored, so anybody can sign by it.
pub(super) fn is_marked(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|&prime| {
        let remainder =
            modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        is_power_of_65537(remainder, prime)
    })
}

fn is_power_of_65537(number: u32, prime: u32) -> bool {
    let mut power = 1;
    loop {
        if power == number {
            return true;
        }
        power = power * 65_537 % prime;
        if power == 1 {
            return false;
        }
    }
}
