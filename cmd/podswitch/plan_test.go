package main

import (
	"strings"
	"testing"
)

// TestDocumentFaults checks that every command that reads a VM document rejects an unknown model, and a property that the model
// does not have: with exit code 2, the path of the field on stderr, and nothing on stdout.
func TestDocumentFaults(t *testing.T) {
	const at = "spec.devices.interfaces[0]."
	for fields, path := range map[string]string{
		"model: vmxnet3":           at + "model: ",
		"model: igb, bootOrder: 1": at + "bootOrder: ",
		"model: e1000, mtu: 9000":  at + "mtu: ",
		"model: e1000, queues: 2":  at + "queues: ",
	} {
		for _, command := range []string{"check -", "plan --vm -", "run --vm -", "qemu-args --guest packet:tap0 --vm -",
			"libvirt-xml --guest packet:tap0 --vm -"} {
			stdout, stderr, code := do(t, redDocument(fields), strings.Fields(command)...)
			if code != exitUsage || !strings.Contains(stderr, "\n"+path) || stdout != "" {
				t.Errorf("%s with %s: exit code %d, stderr %q, stdout %q; want 2 and %q", command, fields, code, stderr, stdout, path)
			}
		}
	}
}
