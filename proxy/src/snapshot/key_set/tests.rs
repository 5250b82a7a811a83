//! Keys out of bounds, look-up by kid, and signatures that only a strict verifier refuses.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

use super::*;

fn ed25519(seed: u8) -> PublicKey {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    PublicKey::ed25519(pair.public_key().as_ref()).unwrap()
}

fn key(kid: Option<&str>, seed: u8) -> VerificationKey {
    VerificationKey::new(kid.map(Into::into), ed25519(seed), None).unwrap()
}

#[test]
fn j6_algorithm_names_are_exact() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(*algorithm));
    }
    assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
    let public = |algorithm: &&Algorithm| algorithm.secret_bytes_min().is_none();
    assert!(Algorithm::ALL.iter().filter(public).eq(Algorithm::ASYMMETRIC));
    for name in ["none", "None", "nOnE", "", "rs256", "hs256", "ES256K", "RS256 ", "EDDSA"] {
        assert_eq!(Algorithm::from_name(name), None, "{name}");
    }
}

#[test]
fn k4_a_key_takes_only_algorithms_of_its_kind() {
    let any = VerificationKey::new(None, ed25519(1), None).unwrap();
    assert_eq!(any.algorithms().iter().collect::<Vec<_>>(), [Algorithm::EdDsa]);
    assert_eq!(VerificationKey::new(None, ed25519(1), Some(Algorithm::Es256)), None);
    let modulus = [0xff; 256];
    let rsa = PublicKey::rsa(&modulus, &[1, 0, 1]).unwrap();
    let only = VerificationKey::new(None, rsa.clone(), Some(Algorithm::Ps256)).unwrap();
    assert_eq!(only.algorithms().iter().collect::<Vec<_>>(), [Algorithm::Ps256]);
    let all = VerificationKey::new(None, rsa, None).unwrap();
    assert_eq!(all.algorithms().iter().count(), 6);
}

#[test]
fn k6_rsa_numbers_out_of_bounds_are_refused() {
    let modulus = |bytes: usize, first: u8| {
        let mut number = vec![0xff; bytes];
        number[0] = first;
        number
    };
    let e = [1, 0, 1];
    assert_eq!(
        PublicKey::rsa(&modulus(256, 0x7f), &e).err(),
        Some(PublicKeyError::ModulusTooShort(2047))
    );
    assert!(PublicKey::rsa(&modulus(256, 0x80), &e).is_ok());
    assert!(PublicKey::rsa(&modulus(1024, 0xff), &e).is_ok());
    assert_eq!(
        PublicKey::rsa(&modulus(1025, 0x01), &e).err(),
        Some(PublicKeyError::ModulusTooLong(8193))
    );
    let mut even = modulus(256, 0xff);
    even[255] = 0xfe;
    assert_eq!(PublicKey::rsa(&even, &e).err(), Some(PublicKeyError::ModulusEven));
    for exponent in [&[][..], &[0], &[1], &[2], &[0, 1], &[1, 0, 0, 0, 1]] {
        assert_eq!(
            PublicKey::rsa(&modulus(256, 0xff), exponent).err(),
            Some(PublicKeyError::Exponent),
            "{exponent:?}"
        );
    }
    assert!(PublicKey::rsa(&modulus(256, 0xff), &[3]).is_ok());
    let mut zeros = vec![0, 0];
    zeros.extend(modulus(256, 0xff));
    assert!(PublicKey::rsa(&zeros, &e) == PublicKey::rsa(&modulus(256, 0xff), &e));
}

#[test]
fn k6_curve_points_are_checked_at_load() {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
            .unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at(32);
    assert!(PublicKey::p256(x, y).is_ok());
    let mut off = y.to_vec();
    off[31] ^= 1;
    assert_eq!(PublicKey::p256(x, &off).err(), Some(PublicKeyError::NotOnCurve));
    assert_eq!(
        PublicKey::p256(x, &y[..31]).err(),
        Some(PublicKeyError::Length { wanted: 32, found: 31 })
    );
    assert_eq!(PublicKey::p384(x, y).err(), Some(PublicKeyError::Length { wanted: 48, found: 32 }));
}

#[test]
fn k6_ed25519_points_of_small_order_are_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    assert_eq!(PublicKey::ed25519(&one).err(), Some(PublicKeyError::SmallOrder));
    one[31] = 0x80;
    assert_eq!(PublicKey::ed25519(&one).err(), Some(PublicKeyError::SmallOrder));
    assert_eq!(PublicKey::ed25519(&[0; 32]).err(), Some(PublicKeyError::SmallOrder));
    let mut unreduced = [0xff; 32];
    unreduced[0] = 0xf0;
    assert_eq!(PublicKey::ed25519(&unreduced).err(), Some(PublicKeyError::NotCanonical));
    assert_eq!(
        PublicKey::ed25519(&[7; 31]).err(),
        Some(PublicKeyError::Length { wanted: 32, found: 31 })
    );
}

#[test]
fn k8_one_kid_twice_keeps_both_keys_and_merges_equal_ones() {
    let set = KeySet::new(vec![
        key(Some("b"), 1),
        key(Some("a"), 2),
        key(Some("b"), 3),
        key(Some("b"), 1),
        key(None, 4),
    ]);
    assert_eq!(set.len(), 4);
    assert_eq!(set.with_kid("b"), [key(Some("b"), 1), key(Some("b"), 3)]);
    assert_eq!(set.with_kid("a"), [key(Some("a"), 2)]);
    assert!(set.with_kid("").is_empty());
    assert!(set.with_kid("c").is_empty());
    assert_eq!(set.iter().next().unwrap().kid(), None);
}

#[test]
fn k13_psychic_and_misshapen_ecdsa_signatures_are_refused() {
    let random = SystemRandom::new();
    let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(signing, document.as_ref(), &random).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let key = VerificationKey::new(None, PublicKey::p256(x, y).unwrap(), None).unwrap();
    let good = pair.sign(&random, b"signed").unwrap();
    let good = good.as_ref();
    assert!(key.verify(Algorithm::Es256, b"signed", good));
    assert!(!key.verify(Algorithm::Es384, b"signed", good));
    assert!(!key.verify(Algorithm::Es256, b"other", good));
    assert!(!key.verify(Algorithm::Es256, b"signed", &[0; 64]));
    let zero_r = [&[0; 32], &good[32..]].concat();
    let zero_s = [&good[..32], &[0; 32]].concat();
    let longer = [good, &[0; 1]].concat();
    for bad in [&zero_r[..], &zero_s, &good[..63], &longer, &[0; 96], &[]] {
        assert!(!key.verify(Algorithm::Es256, b"signed", bad));
    }
}

#[test]
fn k16_ed25519_signatures_are_verified_strictly() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let key = key(None, 9);
    let signature = pair.sign(b"signed");
    let good: [u8; 64] = signature.as_ref().try_into().unwrap();
    assert!(key.verify(Algorithm::EdDsa, b"signed", &good));
    // s + L is the same number modulo the group order L, and not canonical.
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut unreduced = good;
    let mut carry = 0;
    for (byte, addend) in unreduced[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + addend + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert!(!key.verify(Algorithm::EdDsa, b"signed", &unreduced));
    assert!(!key.verify(Algorithm::EdDsa, b"signed", &good[..63]));
    // Made by this key with R the neutral point and s = h(R, A, "signed") * a: the verification
    // equation holds, and only the look at R refuses it.
    let mut small_r = [0; 64];
    small_r[0] = 1;
    small_r[32..].copy_from_slice(&[
        0x52, 0xf5, 0xce, 0x05, 0xdf, 0x16, 0x88, 0xa3, 0x53, 0x63, 0x8b, 0x40, 0x6a, 0x3c, 0x0a,
        0xff, 0x85, 0xc1, 0x72, 0x1e, 0x3e, 0x28, 0x44, 0x36, 0xf2, 0x0f, 0x6e, 0x07, 0x59, 0x39,
        0x85, 0x09,
    ]);
    let ring_alone = ring::signature::UnparsedPublicKey::new(
        &ring::signature::ED25519,
        pair.public_key().as_ref(),
    );
    assert!(ring_alone.verify(b"signed", &small_r).is_ok());
    assert!(!key.verify(Algorithm::EdDsa, b"signed", &small_r));
}
