package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/plan"
)

// settings are what of a run may change with a takeover, as the flags say it.
type settings struct {
	Document  *string  `json:"document,omitempty"` // the VM document's text; nil: none was named
	Interface string   `json:"interface,omitempty"`
	GuestMAC  string   `json:"guest_mac,omitempty"`
	HoldAfter string   `json:"hold_after"`
	Keep      []string `json:"keep,omitempty"`
	Deny      []string `json:"deny,omitempty"`
}

// writeSettings writes what the flags say, or nothing if they say nothing.
func (f *runFlags) writeSettings(c *cobra.Command) (json.RawMessage, error) {
	if !slices.ContainsFunc(settingsFlags(), c.Flags().Changed) {
		return nil, nil
	}
	if err := f.check(); err != nil {
		return nil, usageError{err}
	}
	s := settings{Interface: f.iface, GuestMAC: c.Flags().Lookup("guest-mac").Value.String(), HoldAfter: f.cfg.HoldAfter.String()}
	if f.vm != "" {
		text, err := readFile(f.vm, c.InOrStdin())
		if err != nil {
			return nil, usageError{fmt.Errorf("VM document: %w", err)}
		}
		document := string(text)
		s.Document = &document
	}
	for _, k := range f.cfg.KeptPorts {
		s.Keep = append(s.Keep, k.String())
	}
	for _, d := range f.cfg.DenyRules {
		s.Deny = append(s.Deny, d.String())
	}
	return json.Marshal(s)
}

// readSettings reads what writeSettings wrote, in the process that is to follow it: by the same flags.
func (f *runFlags) readSettings(text []byte) (plan.Settings, error) {
	var s settings
	if err := json.Unmarshal(text, &s); err != nil {
		return plan.Settings{}, usageError{fmt.Errorf("settings: %w", err)}
	}
	var again runFlags
	c := &cobra.Command{}
	again.add(c)
	args := []string{"--interface=" + s.Interface, "--hold-after=" + s.HoldAfter}
	if s.GuestMAC != "" {
		args = append(args, "--guest-mac="+s.GuestMAC)
	}
	if s.Document != nil {
		c.SetIn(strings.NewReader(*s.Document))
		args = append(args, "--vm=-")
	}
	for _, k := range s.Keep {
		args = append(args, "--keep="+k)
	}
	for _, d := range s.Deny {
		args = append(args, "--deny="+d)
	}
	if err := c.ParseFlags(args); err != nil {
		return plan.Settings{}, usageError{err}
	}
	cfg, err := again.config(c)
	return cfg.Settings, err
}
