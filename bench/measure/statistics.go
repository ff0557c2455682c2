package main

import "slices"

// A spread summarises the values of several rounds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf returns the spread of at least one value.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	median := sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// relative returns the difference between maximum and minimum divided by the median, or 0 if the median is 0.
func (s spread) relative() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.Max - s.Min) / s.Median
}

// ratios divides round by round, because a slow phase of the machine affects both candidates of a round. It omits rounds that only one of
// them has, and rounds whose divisor is 0.
func ratios(values, of map[int]float64) []float64 {
	var result []float64
	for round, value := range values {
		if by, found := of[round]; found && by != 0 {
			result = append(result, value/by)
		}
	}
	return result
}
