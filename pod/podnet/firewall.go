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

// legacyTables returns the command and the file that lists the tables of iptables-legacy, which nf_tables does not report.
func (f Family) legacyTables() (command, file string) {
	if f == IPv4 {
		return "iptables", "/proc/net/ip_tables_names"
	}
	return "ip6tables", "/proc/net/ip6_tables_names"
}

// nfTables returns the family in nf_tables.
func (f Family) nfTables() nftables.TableFamily {
	if f == IPv4 {
		return nftables.TableFamilyIPv4
	}
	return nftables.TableFamilyIPv6
}

// FirewallTables returns the names of the pod's firewall tables for the given families, except those of podswitch: nftables tables of these
// families and of inet, and tables of iptables-legacy in the form "iptables filter". Some plugins and service meshes restrict a pod by such
// tables. On a kernel without nf_tables, there are none of the first kind.
func FirewallTables(families ...Family) ([]string, error) {
	names, err := nfTables(families)
	if err != nil {
		return nil, explain("list the pod's nftables tables", err)
	}
	for _, f := range families {
		command, file := f.legacyTables()
		legacy, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("list the pod's iptables tables: %w", err)
		}
		for _, name := range strings.Fields(string(legacy)) {
			names = append(names, command+" "+name)
		}
	}
	return names, nil
}

// nfTables returns no names on a kernel without nf_tables.
func nfTables(families []Family) (names []string, err error) {
	conn, err := nftables.New()
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kinds []nftables.TableFamily
	for _, f := range families {
		kinds = append(kinds, f.nfTables())
	}
	for _, family := range append(kinds, nftables.TableFamilyINet) {
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
