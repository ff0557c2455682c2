package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// elements are the golden files of podswitch libvirt-xml. A file has the error where libvirt has no element for the document.
const elements = "../testdata/hypervisor/*.xml"

// TestLibvirtSchema validates the output of podswitch libvirt-xml, inside a small domain document, against libvirt's schema.
func TestLibvirtSchema(t *testing.T) {
	s := findSchema(t)
	files, err := filepath.Glob(elements)
	if err != nil {
		t.Fatal(err)
	}
	validated := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(text), "error: ") {
			continue
		}
		validated++
		if valid, out := s.validate(t, string(text)); !valid {
			t.Errorf("%s: %s", file, out)
		}
	}
	if validated == 0 {
		t.Errorf("no file of %s has an element", elements)
	}
}

// TestLibvirtSchemaSeesMistakes checks that the schema covers every part of the element: a mistake in any part makes it invalid.
func TestLibvirtSchemaSeesMistakes(t *testing.T) {
	s := findSchema(t)
	text, err := os.ReadFile("../testdata/hypervisor/everything.xml")
	if err != nil {
		t.Fatal(err)
	}
	for right, wrong := range map[string]string{
		`<interface type="ethernet">`:            `<interface type="packet">`,
		`<mac address="52:54:00:00:00:02">`:      `<mac address="52:54:00:00:00">`,
		`<target dev="tap0" managed="no">`:       `<target dev="tap0" managed="never">`,
		`<model type="virtio">`:                  `<model type="virtio,romfile=">`,
		`<driver queues="2">`:                    `<driver queues="two">`,
		`<mtu size="9000">`:                      `<mtu bytes="9000">`,
		`<link state="down">`:                    `<link state="absent">`,
		`<boot order="1">`:                       `<boot order="0">`,
		`<acpi index="1">`:                       `<acpi index="first">`,
		`domain="0x0000" bus="0x01" slot="0x00"`: `domain="0x0000" bus="0x01" slot="0x20"`,
		`</interface>`:                           `<queues>2</queues></interface>`,
	} {
		if strings.Count(string(text), right) != 1 {
			t.Fatalf("everything.xml must have %s exactly once", right)
		}
		if valid, _ := s.validate(t, strings.Replace(string(text), right, wrong, 1)); valid {
			t.Errorf("%s is valid", wrong)
		}
	}
}

// A schema is a directory with libvirt's schema and an xmllint.
type schema struct{ folder string }

// findSchema runs kit/schema. It skips the test with the script's message if the machine cannot unpack the schema.
func findSchema(t *testing.T) schema {
	t.Helper()
	out, err := exec.Command("kit/schema").Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 3:
		t.Skip(strings.TrimSpace(string(exit.Stderr)))
	case errors.As(err, &exit):
		t.Fatalf("kit/schema: %v\n%s", err, exit.Stderr)
	case err != nil:
		t.Fatal(err)
	}
	return schema{strings.TrimSpace(string(out))}
}

// validate reports whether a domain document with this <interface> is valid, and returns the output of xmllint. Exit code 3 of xmllint(1)
// means that it is invalid; another code means that the validation failed.
func (s schema) validate(t *testing.T, element string) (valid bool, output string) {
	t.Helper()
	libraries, err := filepath.Glob(filepath.Join(s.folder, "usr/lib/*-linux-gnu*"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(s.folder, "usr/bin/xmllint"), "--nonet", "--noout", "--relaxng",
		filepath.Join(s.folder, "usr/share/libvirt/schemas/domain.rng"), "-")
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	cmd.Stdin = strings.NewReader("<domain type='kvm'><name>guest</name><memory>65536</memory><os><type>hvm</type></os><devices>\n" +
		element + "</devices></domain>\n")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) {
		t.Fatalf("xmllint: %v\n%s", err, out)
	}
	return err == nil, string(out)
}
