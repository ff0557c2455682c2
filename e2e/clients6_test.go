package e2e

import (
	"path/filepath"
	"strings"
)

// Clients of DHCPv6 alone. Debian's packages of them are unpacked and not installed: kit/unpacked.

// mac returns the MAC of a device.
func (n namespace) mac(device string) string {
	n.t.Helper()
	return strings.TrimSpace(n.must("cat", "/sys/class/net/"+device+"/address"))
}

// dhcp6c runs the client of WIDE. Its script has the name servers in the environment.
func (l *lab) dhcp6c() (resolv string) {
	l.t.Helper()
	dir, _ := l.sandboxed(filepath.Join(unpacked(l.t), "usr"), map[string]string{
		"etc/dhcp6c.conf": `interface tap0 {
	send ia-na 0;
	request domain-name-servers, domain-name;
	script "/etc/dhcp6c.sh";
};
id-assoc na 0 {};
`,
		"etc/dhcp6c.sh": `#!/bin/sh
for server in $new_domain_name_servers; do echo "nameserver $server"; done > /etc/resolv.new
echo "search $new_domain_name" >> /etc/resolv.new
mv /etc/resolv.new /etc/resolv.conf
`,
	}, "chmod +x /etc/dhcp6c.sh; mkdir -p /var/lib/dhcpv6; exec /usr/sbin/dhcp6c -f -D -c /etc/dhcp6c.conf tap0\n")
	return filepath.Join(dir, "etc/resolv.conf")
}

// dibbler runs Dibbler, which changes resolv.conf itself.
func (l *lab) dibbler() (resolv string) {
	l.t.Helper()
	dir, _ := l.sandboxed(filepath.Join(unpacked(l.t), "usr"), map[string]string{
		"etc/dibbler/client.conf": "iface tap0 {\n\tia\n\toption dns-server\n\toption domain\n}\n",
	}, "mkdir -p /var/lib/dibbler /var/log/dibbler; exec /usr/sbin/dibbler-client run\n")
	return filepath.Join(dir, "etc/resolv.conf")
}
