package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// settingsFlags returns the flags of run that may change with a takeover.
func settingsFlags() []string {
	return []string{"vm", "interface", "guest-mac", "hold-after", "keep", "deny"}
}

// settings returns the settings for a takeover, or nil if the command line has none of their flags. The keeper reads the VM
// document, because its own version of podswitch decides what it means.
func (f *runFlags) settings(c *cobra.Command) (*grant.Settings, error) {
	if !slices.ContainsFunc(settingsFlags(), c.Flags().Changed) {
		return nil, nil
	}
	if err := f.check(); err != nil {
		return nil, usageError{err}
	}
	s := &grant.Settings{Interface: f.iface, GuestMAC: c.Flags().Lookup("guest-mac").Value.String(), HoldAfter: f.cfg.HoldAfter.String(),
		Keep: texts(f.cfg.KeptPorts), Deny: texts(f.cfg.DenyRules)}
	if f.vm != "" {
		text, err := readFile(f.vm, c.InOrStdin())
		if err != nil {
			return nil, usageError{fmt.Errorf("read the VM document: %w", err)}
		}
		document := string(text)
		s.Document = &document
	}
	return s, nil
}

// readSettings reads the settings of a takeover in the keeper's process.
func readSettings(text []byte) (plan.Settings, error) {
	s, err := grant.ParseSettings(json.RawMessage(text))
	if err != nil {
		return plan.Settings{}, usageError{err}
	}
	return planSettings(s)
}

// planSettings makes the settings of a plan. Each value is read by the parser of its flag, which the error names.
func planSettings(s *grant.Settings) (p plan.Settings, err error) {
	if err := planFlags(&p, s); err != nil {
		return plan.Settings{}, usageError{err}
	}
	p.VM = model.Default()
	if s.Document != nil {
		if p.VM, err = parseVM("of the takeover", []byte(*s.Document)); err != nil {
			return plan.Settings{}, err
		}
	}
	return p, checkInterface(s.Interface, p.VM)
}

// planFlags reads everything except the VM document and its interface.
func planFlags(p *plan.Settings, s *grant.Settings) (err error) {
	if p.HoldAfter, err = time.ParseDuration(s.HoldAfter); err != nil {
		return fmt.Errorf("--hold-after: %w", err)
	}
	if s.GuestMAC != "" {
		if err = setGuestMAC(p, s.GuestMAC); err != nil {
			return fmt.Errorf("--guest-mac: %w", err)
		}
	}
	if p.KeptPorts, err = parseEach(s.Keep, plan.ParseKeptPort); err != nil {
		return fmt.Errorf("--keep: %w", err)
	}
	if p.DenyRules, err = parseEach(s.Deny, plan.ParseDenyRule); err != nil {
		return fmt.Errorf("--deny: %w", err)
	}
	return checkSettings(p)
}

// texts returns the texts of values.
func texts[T fmt.Stringer](values []T) (list []string) {
	for _, v := range values {
		list = append(list, v.String())
	}
	return list
}

// parseEach reads values.
func parseEach[T any](texts []string, parse func(string) (T, error)) (list []T, err error) {
	for _, text := range texts {
		v, err := parse(text)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}
