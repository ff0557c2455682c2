package guest

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// A Lease is the lease of the guest's DHCP client, as the guest printed it. The fields of absent options are empty.
type Lease struct {
	Address  netip.Prefix
	Router   string   // option 3
	Routes   []string // option 121, each as destination>router, in the order of the option
	MTU      string   // option 26, bytes
	DNS      []string // option 6
	Search   []string // option 119
	Domain   string   // option 15
	Hostname string   // option 12
	Server   string   // option 54
	Seconds  string   // option 51
}

// Lease waits for the guest's first lease.
func (g *Guest) Lease(ctx context.Context) (Lease, error) {
	line, err := g.Await(ctx, "guest: lease ")
	if err != nil {
		return Lease{}, err
	}
	return parseLease(line)
}

// parseLease parses a line "guest: lease ADDRESS NAME=VALUE...". The elements of a list are separated by commas.
func parseLease(line string) (Lease, error) {
	words := strings.Fields(strings.TrimPrefix(line, "guest: lease "))
	if len(words) == 0 {
		return Lease{}, fmt.Errorf("guest: lease line %q: no address", line)
	}
	address, err := netip.ParsePrefix(words[0])
	if err != nil {
		return Lease{}, fmt.Errorf("guest: lease line %q: %w", line, err)
	}
	values := map[string]string{}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		values[name] = value
	}
	return Lease{
		Address:  address,
		Router:   values["router"],
		Routes:   list(values["routes"]),
		MTU:      values["mtu"],
		DNS:      list(values["dns"]),
		Search:   list(values["search"]),
		Domain:   values["domain"],
		Hostname: values["hostname"],
		Server:   values["server"],
		Seconds:  values["seconds"],
	}, nil
}

// list splits a value at its commas; an empty value is an empty list.
func list(value string) []string {
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}
