package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// startup measures podswitch from its exec until it is ready, and until a DHCP client in the guest has its ACK. What the
// bench does in between, which is to hand the tap to the guest, does not count; what the client waits between OFFER and
// REQUEST does, but for answerTime.
func startup(ctx context.Context, s *session) ([]reading, error) {
	p, err := s.launch("ready", s.podswitch, "run", "--state-dir", filepath.Join(s.work, "state"))
	if err != nil {
		return nil, err
	}
	if err := s.awaitLink(ctx, s.pod, "tap0"); err != nil {
		return nil, err
	}
	if err := s.pod.ip(ctx, "link set tap0 netns "+string(s.guest)); err != nil {
		return nil, err
	}
	if err := s.guest.ip(ctx, "link set tap0 up"); err != nil {
		return nil, err
	}
	watch, err := start(s.guest, "listening on", "tcpdump", "-i", "tap0", "-n", "-tt", "-l", "--immediate-mode", "udp and port 67")
	if err != nil {
		return nil, err
	}
	defer watch.stop()
	if err := watch.awaitReady(); err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := s.lease(ctx); err != nil {
		return nil, errors.Join(err, s.healthy())
	}
	var times []time.Time
	err = await(ctx, "four DHCP packets", func() error {
		times, err = parseDump(watch.text())
		return err
	})
	if err != nil {
		return nil, err
	}
	ready := p.at.Sub(p.started)
	return []reading{
		{figure: readyTime, value: milliseconds(ready)},
		{figure: ackTime, value: milliseconds(ready + times[3].Sub(begin))},
		{figure: leaseTime, value: milliseconds(times[3].Sub(times[0]))},
		{figure: answerTime, value: milliseconds(times[1].Sub(times[0]) + times[3].Sub(times[2]))},
	}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// lease runs a DHCP client in the guest that ends with its lease and changes nothing.
func (s *session) lease(ctx context.Context) error {
	script := filepath.Join(s.work, "lease")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		return err
	}
	_, err := s.guest.run(ctx, "udhcpc -f -n -q -i tap0 -s "+script)
	return err
}

// parseDump reads the times of DISCOVER, OFFER, REQUEST and ACK from what tcpdump -tt prints.
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
