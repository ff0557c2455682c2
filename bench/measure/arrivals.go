package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// arrivals are the datagrams that a namespace's UDP sockets were given since it was made: those that were read, those that a
// socket refused, and, apart from them, those with a wrong checksum.
type arrivals struct{ datagrams, wrong uint64 }

// arrivals reads the counters of the namespace without starting a program there.
func (n namespace) arrivals() (arrivals, error) {
	var text []byte
	err := n.within(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp") // /proc/net is the namespace of the process's first thread
		return err
	})
	if err != nil {
		return arrivals{}, fmt.Errorf("count datagrams in the namespace %q: %w", n, err)
	}
	return parseArrivals(string(text))
}

// parseArrivals reads /proc/net/snmp: for each protocol a line of names, and one of values. Linux counts a wrong checksum in
// InErrors too, as it does what a socket's filter refuses (net/ipv4/udp.c, udp_queue_rcv_one_skb).
func parseArrivals(text string) (arrivals, error) {
	var names []string
	for line := range strings.Lines(text) {
		protocol, rest, _ := strings.Cut(line, ":")
		switch {
		case protocol != "Udp":
		case names == nil:
			names = strings.Fields(rest)
		default:
			return arrivalsOf(names, strings.Fields(rest))
		}
	}
	return arrivals{}, fmt.Errorf("the kernel's counters %q: want two lines of Udp", text)
}

func arrivalsOf(names, values []string) (arrivals, error) {
	if len(names) != len(values) {
		return arrivals{}, fmt.Errorf("the kernel's counters of Udp: %d names and %d values: want as many", len(names), len(values))
	}
	found := map[string]uint64{}
	for i, name := range names {
		// Some value that nobody asks for may be below 0.
		if n, err := strconv.ParseUint(values[i], 10, 64); err == nil {
			found[name] = n
		}
	}
	for _, name := range []string{"InDatagrams", "InErrors", "InCsumErrors"} {
		if _, there := found[name]; !there {
			return arrivals{}, fmt.Errorf("the kernel's counters of Udp, %q: want a number for %s", names, name)
		}
	}
	wrong := found["InCsumErrors"]
	return arrivals{datagrams: found["InDatagrams"] + found["InErrors"] - wrong, wrong: wrong}, nil
}
