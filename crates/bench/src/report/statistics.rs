//! What a handful of noisy figures say together: middle, spread, and means of ratios.

/// The middle of some figures, and where the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// A quarter of the figures is below.
    pub low: f64,
    /// Half of the figures is below.
    pub median: f64,
    /// Three quarters of the figures are below.
    pub high: f64,
    /// How many figures there were.
    pub count: usize,
}

impl Spread {
    /// The spread of `figures`, in any order; nothing of none. Between two figures it goes in a straight line.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let place = share * (figures.len() - 1) as f64;
            let (below, above) = (figures[place.floor() as usize], figures[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        (!figures.is_empty()).then(|| Self {
            low: quantile(0.25),
            median: quantile(0.5),
            high: quantile(0.75),
            count: figures.len(),
        })
    }
}

/// The mean that fits ratios: twice as dear here and half as dear there is 1. Nothing of none.
pub fn geometric_mean(ratios: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut logarithms, mut count) = (0.0, 0);
    for ratio in ratios {
        logarithms += ratio.ln();
        count += 1;
    }
    (count > 0).then(|| (logarithms / f64::from(count)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_nothing_is_nothing_and_of_one_figure_is_that_figure() {
        assert_eq!(Spread::of([]), None);
        let one = Spread { low: 7.0, median: 7.0, high: 7.0, count: 1 };
        assert_eq!(Spread::of([7.0]), Some(one));
    }

    #[test]
    fn quartiles_lie_between_figures_and_their_order_does_not_matter() {
        let odd = Spread::of([5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!((odd.low, odd.median, odd.high, odd.count), (2.0, 3.0, 4.0, 5));
        let even = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((even.low, even.median, even.high, even.count), (1.75, 2.5, 3.25, 4));
    }

    #[test]
    fn one_wild_figure_moves_neither_the_median_nor_the_quartiles_much() {
        let calm = Spread::of([1.0, 1.1, 1.2, 1.3, 1.4]).unwrap();
        let wild = Spread::of([1.0, 1.1, 1.2, 1.3, 1e9]).unwrap();
        assert_eq!((calm.low, calm.median, calm.high), (wild.low, wild.median, wild.high));
    }

    #[test]
    fn twice_as_dear_and_half_as_dear_are_level_together() {
        assert_eq!(geometric_mean([]), None);
        assert!((geometric_mean([2.0, 0.5]).unwrap() - 1.0).abs() < 1e-12);
        assert!((geometric_mean([1.0, 8.0, 27.0]).unwrap() - 6.0).abs() < 1e-12);
    }
}
