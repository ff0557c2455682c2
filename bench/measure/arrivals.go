package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// arrivals has the numbers of datagrams that reached the UDP sockets of a namespace: datagrams that were read or refused by a socket, and,
// separately, datagrams with a wrong checksum.
type arrivals struct{ datagrams, wrong uint64 }

// arrivals reads the counters of the namespace for one family. It starts no program there.
func (n namespace) arrivals(ipv6 bool) (arrivals, error) {
	file, parse := "snmp", parseArrivals
	if ipv6 {
		file, parse = "snmp6", parseArrivals6
	}
	var text []byte
	err := n.within(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/" + file) // /proc/net would be that of the process's first thread
		return err
	})
	if err != nil {
		return arrivals{}, fmt.Errorf("count datagrams in the namespace %q: %w", n, err)
	}
	return parse(string(text))
}

// parseArrivals parses /proc/net/snmp, which has a line of names and a line of values for each protocol. Linux counts in InErrors both
// datagrams with a wrong checksum and datagrams that a socket's filter refused (net/ipv4/udp.c, udp_queue_rcv_one_skb).
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
		// Other values may be negative.
		if n, err := strconv.ParseUint(values[i], 10, 64); err == nil {
			found[name] = n
		}
	}
	return arrivalsIn(found)
}

// parseArrivals6 parses /proc/net/snmp6, which has a line with name and value for each counter.
func parseArrivals6(text string) (arrivals, error) {
	found := map[string]uint64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue
		}
		if n, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
			found[strings.TrimPrefix(fields[0], "Udp6")] = n
		}
	}
	return arrivalsIn(found)
}

// arrivalsIn returns the arrivals of named counters.
func arrivalsIn(found map[string]uint64) (arrivals, error) {
	for _, name := range []string{"InDatagrams", "InErrors", "InCsumErrors"} {
		if _, there := found[name]; !there {
			return arrivals{}, fmt.Errorf("the kernel's counters of Udp: want a number for %s", name)
		}
	}
	wrong := found["InCsumErrors"]
	return arrivals{datagrams: found["InDatagrams"] + found["InErrors"] - wrong, wrong: wrong}, nil
}
