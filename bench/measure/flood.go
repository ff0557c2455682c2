package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// flood measures how many packets of minimal size arrive when more are sent than any candidate can forward: datagrams of one flow, or of
// several flows in turn. They are counted at a socket, after merged datagrams were segmented again.
func flood(w way, flows int) measurement {
	return func(ctx context.Context, s *session) ([]reading, error) {
		link, err := s.ends(ctx, w)
		if err != nil {
			return nil, err
		}
		config := filepath.Join(s.work, "flood-"+w.name)
		if err := os.WriteFile(config, []byte(description(link, w.ipv6, flows)), 0o600); err != nil {
			return nil, err
		}
		sink, err := start(w.end(s), "^ready$", s.load, "refuse", at(w.anyAddress(), floodPort))
		if err != nil {
			return nil, err
		}
		defer sink.stop()
		if err := sink.awaitReady(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, end(sink.text(), 3))
		}
		// These flags prevent trafgen from changing settings of the whole machine.
		sender, err := start(w.floodFrom(s), "", "trafgen", "--dev", w.floodDev, "--conf", config, "--cpus", "1", "--no-sock-mem", "--notouch-irq")
		if err != nil {
			return nil, err
		}
		defer sender.end(0) // kills it at once: it ignores SIGTERM and has nothing to restore
		readings, err := s.count(ctx, w, flows)
		return readings, errors.Join(err, sender.alive(), sink.alive())
	}
}

func (s *session) count(ctx context.Context, w way, flows int) ([]reading, error) {
	before, err := w.end(s).arrivals(w.ipv6)
	if err != nil {
		return nil, err
	}
	err = await(ctx, "the first packet of a flood", func() error {
		now, err := w.end(s).arrivals(w.ipv6)
		if err == nil && now.datagrams == before.datagrams {
			err = errors.New("none has arrived")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, time.Second/2); err != nil {
		return nil, err
	}
	from, err := s.snapshot(w)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, time.Duration(s.seconds)*time.Second); err != nil {
		return nil, err
	}
	to, err := s.snapshot(w)
	if err != nil {
		return nil, err
	}
	return floodReading(floodFigure(w, flows), from, to)
}

// A snapshot has the arrivals and the CPU seconds of the candidate at a time.
type snapshot struct {
	arrivals
	cpu float64
	at  time.Time
}

func (s *session) snapshot(w way) (snapshot, error) {
	cpu, err := s.cpu()
	if err != nil {
		return snapshot{}, err
	}
	got, err := w.end(s).arrivals(w.ipv6)
	return snapshot{arrivals: got, cpu: cpu, at: time.Now()}, err
}

// floodReading returns the rate between two snapshots. It returns an error for datagrams with a wrong checksum, because a candidate that
// changes datagrams has no valid rate.
func floodReading(f figure, from, to snapshot) ([]reading, error) {
	if wrong := to.wrong - from.wrong; wrong > 0 {
		return nil, fmt.Errorf("%d datagrams of a flood have arrived with a wrong checksum", wrong)
	}
	if to.datagrams <= from.datagrams {
		return nil, errors.New("no packet of a flood has arrived any more")
	}
	packets := float64(to.datagrams - from.datagrams)
	return []reading{{
		figure: f,
		value:  packets / to.at.Sub(from.at).Seconds() / 1e3,
		cpu:    (to.cpu - from.cpu) / (packets / 1e6),
	}}, nil
}
