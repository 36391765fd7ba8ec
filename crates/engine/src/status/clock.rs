//! Local date and time as TAO writes them: without leading zeros.

/// A second of local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// All four digits.
    pub year: i16,
    /// From 1.
    pub month: i8,
    /// From 1.
    pub day: i8,
    /// 0 to 23.
    pub hour: i8,
    /// 0 to 59.
    pub minute: i8,
    /// 0 to 59.
    pub second: i8,
}

impl Moment {
    /// The zone is that of `TZ` or of the system; UTC where neither is known.
    pub fn now() -> Moment {
        let now = jiff::Zoned::now();
        Moment {
            year: now.year(),
            month: now.month(),
            day: now.day(),
            hour: now.hour(),
            minute: now.minute(),
            second: now.second(),
        }
    }

    pub(super) fn date(self) -> String {
        format!("{}/{}/{}", self.month, self.day, self.year)
    }

    pub(super) fn time(self) -> String {
        format!("{}:{}:{}", self.hour, self.minute, self.second)
    }
}
