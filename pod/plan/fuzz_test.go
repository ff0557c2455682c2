package plan

import (
	"strings"
	"testing"
)

// FuzzConfig checks that kept ports and deny rules are rejected with an error that names them, or survive String and their parser.
func FuzzConfig(f *testing.F) {
	for _, seed := range []struct{ name, text string }{
		{"a kept port", "tcp/8080"}, {"its target", "tcp/8080=127.0.0.1:80"}, {"a target by name", "tcp/1=localhost:65535"},
		{"an IPv6 target", "tcp/22=[::1]:22"}, {"port 0", "tcp/0"}, {"a port beyond 16 bits", "tcp/65536"}, {"leading zeros", "tcp/0080"},
		{"UDP", "udp/53"}, {"no port", "tcp/"}, {"no target", "tcp/80="}, {"a target without a port", "tcp/80=host"},
		{"a target's port is 0", "tcp/80=host:0"}, {"a target without a host", "tcp/80=:80"}, {"a target's port is a word", "tcp/80=h:http"},
		{"one host", "169.254.169.254"}, {"a network", "10.0.0.0/8"}, {"a network by one of its hosts", "10.1.2.3/8"},
		{"everything to a port", "0.0.0.0/0:22623"}, {"port 0 denied", "10.0.0.1:0"}, {"IPv6", "fd00::/8"}, {"IPv6 and a port", "[fd00::1]:443"}, {"brackets", "[fd00::1]x"}, {"half a bracket", "[fd00::1"}, {"IPv4 in IPv6", "::ffff:10.0.0.1"},
		{"a prefix too long", "10.0.0.0/33"}, {"nothing", ""}, {"a sign", "tcp/+80"}, {"a zone", "10.0.0.1%eth0"},
	} {
		f.Add(seed.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKeptPort(text)
		if again, failed := ParseKeptPort(k.String()); err == nil && (failed != nil || again != k || k.Port == 0 || k.Direct == strings.Contains(k.Target, ":")) {
			t.Errorf("%q is %v, and read again %v, %v", text, k, again, failed)
		}
		if err != nil && (k != KeptPort{} || !strings.HasPrefix(err.Error(), "kept port ")) {
			t.Errorf("%q gives %v and %q", text, k, err)
		}
		d, err := ParseDenyRule(text)
		if again, failed := ParseDenyRule(d.String()); err == nil && (failed != nil || again != d || d.Destination.Addr().Is4In6() || d.Destination != d.Destination.Masked()) {
			t.Errorf("%q is %v, and read again %v, %v", text, d, again, failed)
		}
		if err != nil && (d != DenyRule{} || !strings.HasPrefix(err.Error(), "denied destination ")) {
			t.Errorf("%q gives %v and %q", text, d, err)
		}
	})
}
