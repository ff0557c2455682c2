// Load is client and server of the measurements that iperf3 does not make: requests and responses with one in flight, connections one
// after another, a DHCP client without pauses, and the receiver of a flood. All use blocking system calls, so that the results do not
// depend on an event loop of the Go runtime.
//
//	load serve HOST:PORT                       echo requests over TCP and UDP
//	load refuse HOST:PORT                      bind a UDP socket that counts and refuses datagrams; print ready
//	load await HOST:PORT SECONDS               wait until a request over TCP is answered
//	load tcp|udp|connect HOST:PORT SECONDS     measure, after a fifth of the time has passed; print a report as JSON
//	load lease DEVICE ROUNDS                   get leases by DHCP; print a report as JSON
package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && (args[0] == "serve" || args[0] == "refuse"):
		address, err := parseAddress(args[1])
		if err != nil {
			return err
		}
		if args[0] == "refuse" {
			return refuse(address, os.Stdout)
		}
		return serve(address)
	case len(args) != 3:
		return fmt.Errorf("%d arguments: want serve or refuse HOST:PORT, lease DEVICE ROUNDS, or await, tcp, udp or connect HOST:PORT SECONDS", len(args))
	case args[0] == "lease":
		rounds, err := strconv.Atoi(args[2])
		if err != nil || rounds < 1 || rounds > 1000 {
			return fmt.Errorf("rounds %q: want 1 to 1000", args[2])
		}
		return ownAddress(args[1], rounds)
	}
	address, err := parseAddress(args[1])
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(args[2], 64)
	if err != nil || seconds <= 0 {
		return fmt.Errorf("seconds %q: want a number above 0", args[2])
	}
	return ask(args[0], address, time.Duration(seconds*float64(time.Second)))
}

func parseAddress(text string) (netip.AddrPort, error) {
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return address, fmt.Errorf("address %q: want IPV4:PORT or [IPV6]:PORT", text)
	}
	return address, nil
}

func ownAddress(device string, rounds int) error {
	c, err := newClient(device)
	if err != nil {
		return err
	}
	defer unix.Close(c.fd)
	report, err := leases(c.lease, rounds)
	if err != nil {
		return fmt.Errorf("lease on %s: %w", device, err)
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func ask(verb string, address netip.AddrPort, length time.Duration) error {
	if verb == "await" {
		return await(address, length)
	}
	once, done, err := requester(verb, address)
	if err != nil {
		return err
	}
	defer done()
	if _, err := measure(once, length/5); err != nil {
		return fmt.Errorf("%s %s, warming up: %w", verb, address, err)
	}
	report, err := measure(once, length)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, address, err)
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}
