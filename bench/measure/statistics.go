package main

import "slices"

// A spread is what a few rounds gave.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf is of one value at least.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	median := sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// relative is how far the rounds lie apart, as a part of their median; 0 where that is 0.
func (s spread) relative() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.Max - s.Min) / s.Median
}

// ratios divides round by round: what slows a machine for a while slows both. Rounds that only one of them has are left out,
// and those where the divisor is 0.
func ratios(values, of map[int]float64) []float64 {
	var result []float64
	for round, value := range values {
		if by, found := of[round]; found && by != 0 {
			result = append(result, value/by)
		}
	}
	return result
}
