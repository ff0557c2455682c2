package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// leaseRounds is the number of DHCP exchanges of a session.
const leaseRounds = 20

// startup measures the time until a candidate is ready, and the time of DHCP exchanges. It excludes the time in between, in which the
// bench moves the tap to the guest.
func startup(ctx context.Context, s *session) ([]reading, error) {
	report, err := s.exchanges(ctx)
	if err != nil {
		return nil, errors.Join(err, s.healthy())
	}
	paused, err := s.udhcpc(ctx)
	if err != nil {
		return nil, errors.Join(err, s.healthy())
	}
	readings := []reading{
		{figure: leaseFirst, value: report.First / 1e3},
		{figure: leaseTime, value: report.Median / 1e3},
		{figure: leaseWorst, value: report.Max / 1e3},
		{figure: pausedTime, value: milliseconds(paused)},
	}
	if len(s.parts) == 1 && s.ready > 0 { // the start of several processes includes steps of the bench
		readings = append(readings,
			reading{figure: readyTime, value: milliseconds(s.ready)},
			reading{figure: ackTime, value: milliseconds(s.ready) + report.First/1e3})
	}
	return readings, nil
}

// A leaseReport is the output of bench/load, in microseconds.
type leaseReport struct {
	Rounds, Lost       int
	First, Median, Max float64
}

func (s *session) exchanges(ctx context.Context) (leaseReport, error) {
	out, err := s.guest.run(ctx, fmt.Sprintf("%s lease tap0 %d", s.load, leaseRounds))
	if err != nil {
		return leaseReport{}, err
	}
	return parseLeases([]byte(out))
}

func parseLeases(text []byte) (leaseReport, error) {
	var report leaseReport
	switch err := json.Unmarshal(text, &report); {
	case err != nil:
		return report, fmt.Errorf("load's report %q: %w", text, err)
	case report.Lost > 0 || report.First <= 0 || report.Median <= 0:
		return report, fmt.Errorf("load's report %q: an exchange was not answered", text)
	}
	return report, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// udhcpc runs busybox udhcpc, which ends when it has a lease and does not apply it, and returns the time from DISCOVER to ACK.
func (s *session) udhcpc(ctx context.Context) (time.Duration, error) {
	watch, err := start(s.guest, "listening on", "tcpdump", "-i", "tap0", "-n", "-tt", "-l", "--immediate-mode", "udp and port 67")
	if err != nil {
		return 0, err
	}
	defer watch.stop()
	if err := watch.awaitReady(); err != nil {
		return 0, err
	}
	script := filepath.Join(s.work, "lease")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		return 0, err
	}
	if _, err := s.guest.run(ctx, "udhcpc -f -n -q -i tap0 -s "+script); err != nil {
		return 0, err
	}
	var times []time.Time
	err = await(ctx, "four DHCP packets", func() error {
		times, err = parseDump(watch.text())
		return err
	})
	if err != nil {
		return 0, err
	}
	return times[3].Sub(times[0]), nil
}

// parseDump returns the times of DISCOVER, OFFER, REQUEST and ACK in the output of tcpdump -tt.
func parseDump(text string) ([]time.Time, error) {
	var times []time.Time
	for line := range strings.Lines(text) {
		stamp, rest, _ := strings.Cut(line, " ")
		if !strings.Contains(rest, "BOOTP/DHCP") {
			continue
		}
		seconds, fraction, _ := strings.Cut(stamp, ".")
		whole, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("tcpdump's line %q: want seconds first: %w", line, err)
		}
		micro, err := strconv.ParseInt(fraction, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("tcpdump's line %q: want microseconds after the point: %w", line, err)
		}
		times = append(times, time.Unix(whole, micro*1000))
	}
	if len(times) != 4 {
		return nil, fmt.Errorf("%d DHCP packets, want 4", len(times))
	}
	return times, nil
}

// appeared waits for the guest's interface that a program without a ready message makes, and records that time as the time of being
// ready. It sets a bare interface up.
func (s *session) appeared(ctx context.Context, p *process) error {
	var at time.Time
	err := s.guest.within(func() error {
		return poll(ctx, time.Millisecond, "tap0 in "+string(s.guest), func() error {
			if err := p.alive(); err != nil {
				return err
			}
			_, err := net.InterfaceByName("tap0")
			at = time.Now()
			return err
		})
	})
	if err != nil {
		return err
	}
	s.ready = at.Sub(p.started)
	if s.bare {
		return s.dress(ctx, "", "")
	}
	return nil
}
