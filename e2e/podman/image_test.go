package podman_test

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestImage looks into the image for each processor: its user, labels and files.
func TestImage(t *testing.T) {
	images := readArchive(t, archive).images(t)
	if got := slices.Sorted(maps.Keys(images)); !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("the image is for %v", got)
	}
	for platform, i := range images {
		t.Run(platform, func(t *testing.T) {
			if i.OS+"/"+i.Architecture != platform || i.Config.User != "65534:65534" || !slices.Equal(i.Config.Entrypoint, []string{"/podswitch"}) {
				t.Errorf("its configuration is %+v", i.ociConfig)
			}
			checkLabels(t, i)
			checkFiles(t, i)
			info := programInfo(t, i)
			checkBill(t, i, info)
			checkLicenses(t, i, info)
		})
	}
}

// checkLabels checks the labels that describe the image (OCI image specification, "Annotations").
func checkLabels(t *testing.T, i ociImage) {
	t.Helper()
	committed, err := time.Parse(time.RFC3339, git(t, "log", "-1", "--format=%cI"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"title": "podswitch", "description": ".+", "url": "https://.+", "source": "https://.+", "documentation": "https://.+",
		"licenses": "Apache-2.0 AND .+", "version": `\d+\.\d+\.\d+.*`, "revision": git(t, "rev-parse", "HEAD"),
		"created": committed.UTC().Format(time.RFC3339),
	}
	for name, pattern := range want {
		if got := i.Config.Labels["org.opencontainers.image."+name]; !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
			t.Errorf("label %s is %q, want %s", name, got, pattern)
		}
	}
	if len(i.Config.Labels) != len(want) {
		t.Errorf("the labels are %v", i.Config.Labels)
	}
	if !i.Created.Equal(committed) {
		t.Errorf("created %s, want the commit's time %s", i.Created, committed)
	}
}

// checkFiles checks that the image has nothing else, and that nobody but root may change it.
func checkFiles(t *testing.T, i ociImage) {
	t.Helper()
	var top []string
	for name, f := range i.files {
		if !strings.Contains(name, "/") {
			top = append(top, name)
		}
		if h := f.header; h.Uid != 0 || h.Gid != 0 || h.Mode&0o7022 != 0 || h.Mode&0o4 == 0 || !h.ModTime.Equal(i.Created) {
			t.Errorf("%s: user %d:%d, mode %o, time %s", name, h.Uid, h.Gid, h.Mode, h.ModTime)
		}
	}
	slices.Sort(top)
	if !slices.Equal(top, []string{"licenses", "podswitch", "sbom"}) {
		t.Errorf("the image has %v", top)
	}
}

// programInfo returns what `go version -m` prints of the image's program.
func programInfo(t *testing.T, i ociImage) *buildinfo.BuildInfo {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(i.files["podswitch"].data))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["GOARCH"] != i.Architecture || settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" || len(info.Deps) == 0 {
		t.Errorf("the program was built with %v", settings)
	}
	return info
}

// checkBill checks that the bill of materials names exactly the modules that are linked, and the standard library.
func checkBill(t *testing.T, i ociImage, info *buildinfo.BuildInfo) {
	t.Helper()
	type component struct{ Name, Version string }
	var bill struct {
		BOMFormat  string
		Components []component
		Metadata   struct{ Component component }
	}
	if err := json.Unmarshal(i.files["sbom/podswitch.cdx.json"].data, &bill); err != nil {
		t.Fatal(err)
	}
	if bill.BOMFormat != "CycloneDX" || bill.Metadata.Component != (component{info.Main.Path, "v" + i.Config.Labels["org.opencontainers.image.version"]}) {
		t.Errorf("the bill of materials is a %s of %v", bill.BOMFormat, bill.Metadata.Component)
	}
	want := map[component]bool{{"std", info.GoVersion}: true}
	for _, m := range info.Deps {
		want[component{m.Path, m.Version}] = true
	}
	got := map[component]bool{}
	for _, c := range bill.Components {
		got[c] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("the bill of materials has\n%v\nwant\n%v", got, want)
	}
}

// checkLicenses checks that the image has a licence of every part.
func checkLicenses(t *testing.T, i ociImage, info *buildinfo.BuildInfo) {
	t.Helper()
	folders := []string{info.Main.Path, "std"}
	for _, m := range info.Deps {
		folders = append(folders, m.Path+"@"+m.Version)
	}
	license := regexp.MustCompile(`(?i)^(licen[cs]e|copying)`)
	for _, folder := range folders {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(i.files)), func(name string) bool {
			return filepath.Dir(name) == "licenses/"+folder && license.MatchString(filepath.Base(name))
		}) {
			t.Errorf("the image has no licence of %s", folder)
		}
	}
}

// TestImageIsReproducible builds the image again: it is the same.
func TestImageIsReproducible(t *testing.T) {
	again := filepath.Join(t.TempDir(), "again.tar")
	if _, err := node.Run(t.Context(), "env", "IMAGE=again:dev", "../../deploy/image", again); err != nil {
		t.Fatal(err)
	}
	if first, second := readArchive(t, archive).index(t), readArchive(t, again).index(t); first != second {
		t.Errorf("the manifest lists are %s and %s", first, second)
	}
}

// TestImageRuns runs the image for this processor.
func TestImageRuns(t *testing.T) {
	if out := inNode(t, "podman", "run", "--rm", "--network", "none", "podswitch:dev", "version"); !strings.HasPrefix(out, "podswitch ") {
		t.Errorf("podswitch version prints %q", out)
	}
}
