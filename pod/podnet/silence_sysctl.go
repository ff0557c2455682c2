package podnet

// This file silences the kernel by sysctls of the interface, for kernels without the netdev family of nf_tables. It is weaker: the
// kernel still processes what arrives. Documentation/networking/ip-sysctl.rst describes the settings.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podswitch/podswitch/host/missing"
)

// A sysctl is a setting under net.ipv4.conf of the pod interface.
type sysctl struct {
	Name  string `json:"name"`
	Value string `json:"was"` // a decimal number; in a record, the value before the silence
}

// silentSettings returns the values that silence the kernel. With arp_ignore 8 it answers no ARP request for a local address. With
// forwarding 0 it sends no ICMP error about packets for other hosts (ip_error in net/ipv4/route.c).
func silentSettings() []sysctl { return []sysctl{{"arp_ignore", "8"}, {"forwarding", "0"}} }

func (s sysctl) check() error {
	if !slices.ContainsFunc(silentSettings(), func(k sysctl) bool { return k.Name == s.Name }) {
		return fmt.Errorf("name: %q is no sysctl that podswitch changes", s.Name)
	}
	if s.Value == "" || strings.Trim(s.Value, "0123456789") != "" {
		return fmt.Errorf("was: %q, want a number", s.Value)
	}
	return nil
}

func sysctlPath(link, name string) string {
	return filepath.Join("/proc/sys/net/ipv4/conf", link, name)
}

// sysctlsToChange returns the settings whose values differ from silentSettings, with their present values.
func sysctlsToChange(link string) ([]sysctl, error) {
	var change []sysctl
	for _, silent := range silentSettings() {
		text, err := os.ReadFile(sysctlPath(link, silent.Name))
		if err != nil {
			return nil, fmt.Errorf("read the sysctl: %w", err)
		}
		if value := strings.TrimSpace(string(text)); value != silent.Value {
			change = append(change, sysctl{silent.Name, value})
		}
	}
	return change, nil
}

// silenceBySysctls writes the silent values of the recorded sysctls.
func silenceBySysctls(link string, recorded []sysctl) error {
	for _, silent := range silentSettings() {
		if !slices.ContainsFunc(recorded, func(s sysctl) bool { return s.Name == silent.Name }) {
			continue
		}
		if err := writeSysctl(link, silent); err != nil {
			return &missing.Error{
				What: "silence the pod's kernel on " + link,
				Need: "nf_tables with the netdev family, or a writable /proc/sys/net",
				Give: "load the kernel module nf_tables, or run the container privileged",
				Err:  err,
			}
		}
	}
	return nil
}

// restoreSysctls writes the recorded values.
func restoreSysctls(link string, recorded []sysctl) error {
	var errs []error
	for _, s := range recorded {
		errs = append(errs, explain("restore the sysctl "+s.Name, writeSysctl(link, s)))
	}
	return errors.Join(errs...)
}

func writeSysctl(link string, s sysctl) error {
	// os.WriteFile would ask /proc to create a setting that does not exist.
	f, err := os.OpenFile(sysctlPath(link, s.Name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.Value)
	return errors.Join(err, f.Close())
}
