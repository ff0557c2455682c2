package podnet

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
)

// resolvLimit bounds the part of a resolv.conf that is read, in bytes.
const resolvLimit = 1 << 20

// A Resolv is the DNS configuration of a resolv.conf.
type Resolv struct {
	NameServers []netip.Addr `json:"name_servers,omitempty"` // IPv4 and IPv6, in order
	Search      []string     `json:"search,omitempty"`       // as written
}

// ReadResolv reads a resolv.conf by the rules of glibc (resolv.conf(5), resolv/res_init.c). A keyword starts in the first column, and a
// blank follows it. The last "search" or "domain" line applies, and "domain" gives one name. ReadResolv skips invalid lines and ignores
// options. A read error ends the input.
func ReadResolv(r io.Reader) Resolv {
	text, _ := io.ReadAll(io.LimitReader(r, resolvLimit))
	var resolv Resolv
	for line := range bytes.Lines(text) {
		keyword, rest, ok := cutKeyword(strings.TrimRight(string(line), "\r\n"))
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

// cutKeyword cuts a line after its first word. It returns false if no blank follows the word.
func cutKeyword(line string) (word, rest string, ok bool) {
	i := strings.IndexAny(line, " \t")
	if i <= 0 {
		return "", "", false
	}
	return line[:i], line[i:], true
}
