package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// counter counts the packets of the flood where they arrive and drops them there, before the kernel could answer them.
const counter = `table netdev bench {
	counter hits {}
	chain ingress {
		type filter hook ingress device "%s" priority 0
		udp dport %d counter name hits drop
	}
}
`

// flood measures how many of the smallest packets arrive when more are sent than anybody can take.
func flood(w way) measurement {
	return func(ctx context.Context, s *session) ([]reading, error) {
		packet, err := s.packet(ctx, w)
		if err != nil {
			return nil, err
		}
		config := filepath.Join(s.work, "flood-"+w.name)
		if err := os.WriteFile(config, []byte(packet), 0o600); err != nil {
			return nil, err
		}
		if _, err := w.end(s).feed(ctx, fmt.Sprintf(counter, w.dev[1], floodPort), "nft", "-f", "-"); err != nil {
			return nil, err
		}
		// Without these flags it would change settings of the whole machine.
		sender, err := start(w.from(s), "", "trafgen", "--dev", w.dev[0], "--conf", config, "--cpus", "1", "--no-sock-mem", "--notouch-irq")
		if err != nil {
			return nil, err
		}
		readings, err := s.count(ctx, w)
		err = errors.Join(err, sender.alive())
		sender.stop()
		_, gone := w.end(s).run(ctx, "nft delete table netdev bench")
		return readings, errors.Join(err, gone)
	}
}

func (s *session) count(ctx context.Context, w way) ([]reading, error) {
	err := await(ctx, "the first packet of a flood", func() error {
		n, err := s.hits(ctx, w)
		if err == nil && n == 0 {
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
	from, err := s.snapshot(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, time.Duration(s.seconds)*time.Second); err != nil {
		return nil, err
	}
	to, err := s.snapshot(ctx, w)
	if err != nil {
		return nil, err
	}
	packets := to.packets - from.packets
	if packets <= 0 {
		return nil, errors.New("no packet of a flood has arrived any more")
	}
	return []reading{{
		figure: floodFigure(w),
		value:  packets / to.at.Sub(from.at).Seconds() / 1e3,
		cpu:    (to.cpu - from.cpu) / (packets / 1e6),
	}}, nil
}

type snapshot struct {
	packets, cpu float64
	at           time.Time
}

func (s *session) snapshot(ctx context.Context, w way) (snapshot, error) {
	cpu, err := s.cpu()
	if err != nil {
		return snapshot{}, err
	}
	packets, err := s.hits(ctx, w)
	return snapshot{packets: packets, cpu: cpu, at: time.Now()}, err
}

func (s *session) hits(ctx context.Context, w way) (float64, error) {
	out, err := w.end(s).run(ctx, "nft -j list counter netdev bench hits")
	if err != nil {
		return 0, err
	}
	return parseCounter([]byte(out))
}

// parseCounter reads what nft -j list counter prints.
func parseCounter(text []byte) (float64, error) {
	var listing struct {
		Nftables []struct{ Counter *struct{ Packets float64 } }
	}
	if err := json.Unmarshal(text, &listing); err != nil {
		return 0, fmt.Errorf("nft's listing: %w", err)
	}
	for _, object := range listing.Nftables {
		if object.Counter != nil {
			return object.Counter.Packets, nil
		}
	}
	return 0, fmt.Errorf("nft's listing %s: no counter in it", text)
}

// packet is trafgen's description of one: 60 octets, which are 64 on a wire.
func (s *session) packet(ctx context.Context, w way) (string, error) {
	from, hop := w.from(s), w.to(s)
	route, err := only[struct{ Gateway, Prefsrc string }](from.run(ctx, "ip -j route get "+hop))
	if err != nil {
		return "", err
	}
	if route.Gateway != "" {
		hop = route.Gateway
	}
	neighbour, err := only[struct{ Lladdr string }](from.run(ctx, "ip -j neigh show to "+hop+" dev "+w.dev[0]))
	if err != nil {
		return "", fmt.Errorf("neighbour %s: %w", hop, err)
	}
	link, err := only[struct{ Address string }](from.run(ctx, "ip -j link show "+w.dev[0]))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("{ eth(da=%s, sa=%s), ipv4(sa=%s, da=%s, ttl=64), udp(sp=%d, dp=%d), fill(0, 18) }\n",
		neighbour.Lladdr, link.Address, route.Prefsrc, w.to(s), floodPort, floodPort), nil
}

// only reads a listing of ip -j that has one object.
func only[T any](text string, err error) (T, error) {
	var objects []T
	var none T
	if err != nil {
		return none, err
	}
	if err := json.Unmarshal([]byte(text), &objects); err != nil {
		return none, fmt.Errorf("ip's listing %q: %w", text, err)
	}
	if len(objects) != 1 {
		return none, fmt.Errorf("ip's listing %q: %d objects, want 1", text, len(objects))
	}
	return objects[0], nil
}
