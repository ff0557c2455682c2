package podnet

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
)

// resolvLimit bounds how much of a resolv.conf is read, in bytes.
const resolvLimit = 1 << 20

// A Resolv is what a resolv.conf says about DNS.
type Resolv struct {
	NameServers []netip.Addr `json:"name_servers,omitempty"` // IPv4 and IPv6, in order
	Search      []string     `json:"search,omitempty"`       // as written
}

// ReadResolv reads a resolv.conf by the rules of glibc (resolv.conf(5), resolv/res_init.c): a keyword starts in the first
// column and is followed by a blank; the last of all "search" and "domain" lines wins, and "domain" gives one name;
// lines that say nothing understandable are skipped; options are ignored. A read error ends the input.
func ReadResolv(r io.Reader) Resolv {
	text, _ := io.ReadAll(io.LimitReader(r, resolvLimit))
	var resolv Resolv
	for line := range bytes.Lines(text) {
		keyword, rest, ok := cutBlank(strings.TrimRight(string(line), "\r\n"))
		if !ok {
			continue
		}
		words := strings.Fields(rest)
		if len(words) == 0 {
			continue
		}
		switch keyword {
		case "nameserver":
			address, _, _ := strings.Cut(words[0], "#")
			address, _, _ = strings.Cut(address, ";")
			if server, err := netip.ParseAddr(address); err == nil {
				resolv.NameServers = append(resolv.NameServers, server.Unmap())
			}
		case "search":
			resolv.Search = words
		case "domain":
			resolv.Search = words[:1]
		}
	}
	return resolv
}

// cutBlank cuts a line after its first word, which a blank has to follow.
func cutBlank(line string) (word, rest string, ok bool) {
	i := strings.IndexAny(line, " \t")
	if i <= 0 {
		return "", "", false
	}
	return line[:i], line[i:], true
}
