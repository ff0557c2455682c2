package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// legacyTables lists the tables of iptables-legacy, which nf_tables does not report.
const legacyTables = "/proc/net/ip_tables_names"

// FirewallTables returns the names of the pod's IPv4 firewall tables, except those of podswitch: nftables tables of the ip and inet
// families, and tables of iptables-legacy in the form "iptables filter". Some plugins and service meshes restrict a pod by such tables.
// On a kernel without nf_tables, there are none of the first kind.
func FirewallTables() ([]string, error) {
	names, err := nfTables()
	if err != nil {
		return nil, explain("list the pod's nftables tables", err)
	}
	legacy, err := os.ReadFile(legacyTables)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("list the pod's iptables tables: %w", err)
	}
	for _, name := range strings.Fields(string(legacy)) {
		names = append(names, "iptables "+name)
	}
	return names, nil
}

// nfTables returns no names on a kernel without nf_tables.
func nfTables() (names []string, err error) {
	conn, err := nftables.New()
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyINet} {
		tables, err := conn.ListTablesOfFamily(family)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) { // nfnetlink exists, nf_tables does not
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, t := range tables {
			if t.Family == family && !strings.HasPrefix(t.Name, tablePrefix) {
				names = append(names, t.Name)
			}
		}
	}
	return names, nil
}
