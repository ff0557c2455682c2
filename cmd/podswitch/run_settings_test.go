package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestSettingsOfNoDocument checks that a document without a word is a fault for another process, too, and not the default.
func TestSettingsOfNoDocument(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		fails bool
	}{
		"none named":             {[]string{"--hold-after", "30s"}, false},
		"an empty one":           {[]string{"--vm", "-"}, true},
		"another MAC":            {[]string{"--guest-mac", "52:54:00:12:34:56"}, false},
		"an empty one, and more": {[]string{"--vm", "-", "--hold-after", "30s"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var f runFlags
			command := &cobra.Command{}
			f.add(command)
			command.SetIn(strings.NewReader(""))
			if err := command.ParseFlags(c.args); err != nil {
				t.Fatal(err)
			}
			text, err := f.writeSettings(command)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := new(runFlags).readSettings(text); err != nil != c.fails {
				t.Errorf("%s: %v; want an error: %t", text, err, c.fails)
			}
		})
	}
}
