//! From values to places, and the values at which lines are drawn.

/// A range of values along a stretch of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) from: f64,
    pub(super) to: f64,
    start: f64,
    length: f64,
    logarithmic: bool,
}

impl Scale {
    /// `from` is at `start`, `to` is `length` further on.
    pub(super) fn linear((from, to): (f64, f64), start: f64, length: f64) -> Self {
        Self { from, to, start, length, logarithmic: false }
    }

    /// The same in powers: each ten times as much is as far away.
    pub(super) fn logarithmic((from, to): (f64, f64), start: f64, length: f64) -> Self {
        Self { from, to, start, length, logarithmic: true }
    }

    /// Where a value is; at the nearer end if it is outside.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.from, self.to);
        let share = match self.logarithmic {
            true => (value / self.from).ln() / (self.to / self.from).ln(),
            false => (value - self.from) / (self.to - self.from),
        };
        self.start + share * self.length
    }

    pub(super) fn end(&self) -> f64 {
        self.start + self.length
    }
}

/// The powers of ten that enclose values, at least two apart; nothing of none.
pub(super) fn decades(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| *value > 0.0).collect();
    values.sort_by(f64::total_cmp);
    let low = values.first()?.log10().floor();
    let high = values.last()?.log10().ceil().max(low + 1.0);
    Some((10_f64.powf(low), 10_f64.powf(high)))
}

/// The powers of ten in a range.
pub(super) fn powers_of_ten((from, to): (f64, f64)) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(from), |power| Some(power * 10.0))
        .take_while(move |power| *power <= to * 1.001)
}

/// The powers of ten in a range; if there are fewer than two, 1, 2 and 5 times these.
pub(super) fn round_steps((from, to): (f64, f64)) -> Vec<f64> {
    let power = 10_f64.powf(from.log10().floor());
    let inside = |value: &f64| (from * 0.999..=to * 1.001).contains(value);
    let powers: Vec<f64> = powers_of_ten((power, to)).collect();
    let most: Vec<f64> = powers.iter().copied().filter(inside).collect();
    match most.len() {
        0..2 => {
            let steps = powers.iter().flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * power));
            steps.filter(inside).collect()
        }
        _ => most,
    }
}

/// About five round values from `from` up to `to`.
pub(super) fn ticks((from, to): (f64, f64)) -> Vec<f64> {
    let rough = (to - from) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    let step = steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough);
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last).map(|number| number as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_keeps_what_is_outside_at_its_ends() {
        let scale = Scale::linear((1.0, 3.0), 100.0, 50.0);
        assert_eq!(
            [0.0, 1.0, 2.0, 3.0, 9.0].map(|value| scale.place(value)),
            [100.0, 100.0, 125.0, 150.0, 150.0]
        );
        let scale = Scale::logarithmic((1.0, 100.0), 0.0, 10.0);
        assert_eq!(
            [0.1, 1.0, 10.0, 100.0, 1e9].map(|value| scale.place(value).round()),
            [0.0, 0.0, 5.0, 10.0, 10.0]
        );
    }

    #[test]
    fn a_scale_may_grow_upwards() {
        assert_eq!(Scale::linear((0.0, 1.0), 80.0, -40.0).place(0.25), 70.0);
    }

    #[test]
    fn decades_enclose_all_values() {
        assert_eq!(decades([]), None);
        assert_eq!(decades([3.0, 250.0]), Some((1.0, 1000.0)));
        assert_eq!(decades([20.0]), Some((10.0, 100.0)));
        assert_eq!(powers_of_ten((1.0, 1000.0)).count(), 4);
    }

    #[test]
    fn a_narrow_range_has_steps_between_powers_of_ten() {
        assert_eq!(round_steps((10.0, 1000.0)), [10.0, 100.0, 1000.0]);
        assert_eq!(round_steps((5_500.0, 26_000.0)), [10_000.0, 20_000.0]);
        assert_eq!(round_steps((4_900.0, 9_000.0)), [5_000.0]);
    }

    #[test]
    fn ticks_are_round() {
        let hundredths = |range| {
            ticks(range).into_iter().map(|tick| (tick * 100.0).round() as i64).collect::<Vec<_>>()
        };
        assert_eq!(hundredths((0.9, 2.1)), [100, 125, 150, 175, 200]);
        assert_eq!(hundredths((0.8, 1.0)), [80, 85, 90, 95, 100]);
        assert_eq!(ticks((0.0, 100.0)), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
    }
}
