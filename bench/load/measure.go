package main

import (
	"errors"
	"slices"
	"time"
)

// A report has the response times of requests. A request without an answer counts as lost and has no response time.
type report struct {
	Requests int     `json:"requests"`
	Lost     int     `json:"lost"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50"` // microseconds
	P99      float64 `json:"p99"` // microseconds
}

// errLost is the error of a request without an answer in time.
var errLost = errors.New("no answer")

// measure makes requests one after another. It returns an error if none is answered.
func measure(once func() error, length time.Duration) (report, error) {
	times := make([]time.Duration, 0, 1<<18)
	var lost int
	begin := time.Now()
	for now := begin; now.Sub(begin) < length; {
		err := once()
		then := now
		now = time.Now()
		switch {
		case errors.Is(err, errLost):
			lost++
		case err != nil:
			return report{}, err
		default:
			times = append(times, now.Sub(then))
		}
	}
	return summary(times, lost, time.Since(begin))
}

func summary(times []time.Duration, lost int, length time.Duration) (report, error) {
	if len(times) == 0 {
		return report{}, errLost
	}
	slices.Sort(times)
	return report{
		Requests: len(times),
		Lost:     lost,
		Seconds:  length.Seconds(),
		P50:      microseconds(percentile(times, 50)),
		P99:      microseconds(percentile(times, 99)),
	}, nil
}

// percentile returns the least of sorted times that at least p percent of them do not exceed.
func percentile(times []time.Duration, p int) time.Duration {
	rank := (len(times)*p + 99) / 100
	return times[max(rank, 1)-1]
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
