package hypervisor

import (
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podswitch/podswitch/model"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata/hypervisor")

// A testCase is a document of testdata/hypervisor with the attachment and the settings in its first line.
type testCase struct {
	name     string
	vm       *model.VM
	guest    Attachment
	settings Settings
}

// TestFolder checks the configuration for every document of testdata/hypervisor. The first line of NAME.yaml is a comment with flags.
// The golden files are NAME.args, the arguments and notes for QEMU, and NAME.xml, the element for libvirt; each contains the error
// if there is one. To add a test, add a document, run this test with -update, and review the golden files.
func TestFolder(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.name, func(t *testing.T) {
			compareGolden(t, c.name+".args", c.args())
			compareGolden(t, c.name+".xml", c.xml())
		})
	}
}

// TestFolderComplete checks that every golden file has a document, and every model too.
func TestFolderComplete(t *testing.T) {
	documents, models := map[string]bool{}, map[model.Model]bool{}
	for _, c := range readCases(t) {
		documents[c.name], models[c.vm.Interface.Model] = true, true
	}
	files, err := os.ReadDir(folder())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(f.Name(), filepath.Ext(f.Name())); !documents[name] {
			t.Errorf("%s belongs to no document", f.Name())
		}
	}
	for _, m := range allModels() {
		if !models[m] {
			t.Errorf("no document has the model %s", m)
		}
	}
}

func allModels() []model.Model {
	return []model.Model{model.Virtio, model.E1000, model.E1000e, model.IGB, model.NE2kPCI, model.PCnet, model.RTL8139}
}

func folder() string { return filepath.Join("..", "..", "testdata", "hypervisor") }

// readCases reads every document of testdata/hypervisor.
func readCases(t *testing.T) (cases []testCase) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder(), "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no documents in %s: %v", folder(), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(data), "\n")
		c := testCase{name: strings.TrimSuffix(filepath.Base(path), ".yaml")}
		if c.vm, err = model.Parse(data); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		c.readFlags(t, strings.Fields(strings.TrimPrefix(first, "#")))
		cases = append(cases, c)
	}
	return cases
}

// readFlags reads the first line of a document.
func (c *testCase) readFlags(t *testing.T, words []string) {
	t.Helper()
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	guest := flags.String("guest", "", "the attachment")
	mac, podMAC := flags.String("mac", "", "Settings.MAC"), flags.String("pod-mac", "", "Settings.PodMAC")
	flags.IntVar(&c.settings.MTU, "mtu", 0, "Settings.MTU")
	flags.IntVar(&c.settings.Queues, "queues", 0, "Settings.Queues")
	flags.StringVar(&c.settings.Bus, "bus", "", "Settings.Bus")
	if err := flags.Parse(words); err != nil || flags.NArg() > 0 {
		t.Fatalf("%s: first line: %v %q", c.name, err, flags.Args())
	}
	var err error
	if c.guest, err = ParseAttachment(*guest); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	for text, target := range map[*string]*net.HardwareAddr{mac: &c.settings.MAC, podMAC: &c.settings.PodMAC} {
		if *text == "" {
			continue
		}
		if *target, err = net.ParseMAC(*text); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
}

// args returns the content of the golden file with QEMU's arguments.
func (c *testCase) args() string {
	args, err := QEMUArgs(c.vm, c.guest, c.settings)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	for _, note := range QEMUNotes(c.vm) {
		args = append(args, "note: "+note)
	}
	return strings.Join(args, "\n") + "\n"
}

// xml returns the content of the golden file with libvirt's element.
func (c *testCase) xml() string {
	text, err := LibvirtXML(c.vm, c.guest, c.settings)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return string(text)
}

// compareGolden compares got with a golden file, or rewrites it under -update.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(folder(), name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; the document gives:\n%s", err, got)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-%s +got:\n%s", name, diff)
	}
}
