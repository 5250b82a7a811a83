//! The exact value of a JSON number, without going through a floating-point type.

/// A number as sign, significant digits and a power of ten: neither its first nor its last digit
/// is a zero, and zero has no digits. Two spellings of one number are equal.
#[derive(Clone, Copy)]
pub struct Decimal<'t> {
    negative: bool,
    /// Before and after the point. The digits of the number are those of both together, after
    /// `skip` and up to `count` of them.
    integer: &'t [u8],
    fraction: &'t [u8],
    skip: usize,
    count: usize,
    /// Of the last significant digit.
    exponent: i64,
}

impl<'t> Decimal<'t> {
    /// The value of a number in JSON's spelling; nothing where its exponent is beyond all use.
    #[must_use]
    pub fn parse(number: &'t str) -> Option<Self> {
        let (negative, unsigned) = match number.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, number),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || integer.bytes().chain(fraction.bytes());
        let zeros =
            |digits: &mut dyn Iterator<Item = u8>| digits.take_while(|d| *d == b'0').count();
        let skip = zeros(&mut digits());
        let all = integer.len() + fraction.len();
        let trailing = if skip == all { 0 } else { zeros(&mut digits().rev()) };
        let fraction_digits = i64::try_from(fraction.len()).ok()?;
        let is_zero = skip == all;
        Some(Self {
            negative: negative && !is_zero,
            integer: integer.as_bytes(),
            fraction: fraction.as_bytes(),
            skip,
            count: all - skip - trailing,
            exponent: if is_zero {
                0
            } else {
                i64::from(exponent) - fraction_digits + i64::try_from(trailing).ok()?
            },
        })
    }

    /// The smallest whole number not below it, where that is 0..=`max`.
    #[must_use]
    pub fn ceil_within(self, max: i64) -> Option<i64> {
        let (whole, rest) = self.whole_and_rest()?;
        i64::try_from(whole + i128::from(rest)).ok().filter(|value| *value <= max)
    }

    /// The largest whole number not above it, where that is 0..=`max`.
    #[must_use]
    pub fn floor_within(self, max: i64) -> Option<i64> {
        let (whole, _) = self.whole_and_rest()?;
        i64::try_from(whole).ok().filter(|value| *value <= max)
    }

    /// The part before the point, and whether there is anything behind it; nothing of what is
    /// negative or beyond every i64.
    fn whole_and_rest(self) -> Option<(i128, bool)> {
        if self.negative {
            return None;
        }
        let count = i64::try_from(self.count).ok()?;
        let whole_digits = count + self.exponent;
        // 19 digits hold every i64; a number below 1 has none.
        let whole_digits = usize::try_from(whole_digits.max(0)).ok().filter(|n| *n <= 19)?;
        let digits = self.digits().chain(std::iter::repeat(b'0')).take(whole_digits);
        let whole = digits.fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
        Some((whole, self.count > whole_digits))
    }

    /// Whether it is a whole number.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.exponent >= 0
    }

    fn digits(self) -> impl Iterator<Item = u8> + 't {
        self.integer.iter().chain(self.fraction).copied().skip(self.skip).take(self.count)
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.negative == other.negative
            && self.exponent == other.exponent
            && self.count == other.count
            && self.digits().eq(other.digits())
    }
}
