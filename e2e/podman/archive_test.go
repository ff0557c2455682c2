package podman_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"testing"
	"time"
)

// A descriptor refers to a blob of an archive (OCI image specification, "Content Descriptors").
type descriptor struct {
	Digest   string `json:"digest"`
	Platform struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

// An ociConfig is the configuration of an image for one platform.
type ociConfig struct {
	Created      time.Time `json:"created"`
	OS           string    `json:"os"`
	Architecture string    `json:"architecture"`
	Config       struct {
		User       string
		Entrypoint []string
		Labels     map[string]string
	} `json:"config"`
}

// An ociImage is the image for one platform.
type ociImage struct {
	ociConfig
	files map[string]ociFile // by path, without the leading slash
}

type ociFile struct {
	header *tar.Header
	data   []byte
}

// blobs has the files of an OCI archive by path.
type blobs map[string][]byte

func readArchive(t *testing.T, name string) blobs {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	list := blobs{}
	for name, f := range untar(t, file) {
		list[name] = f.data
	}
	return list
}

func untar(t *testing.T, r io.Reader) map[string]ociFile {
	t.Helper()
	files := map[string]ociFile{}
	for reader := tar.NewReader(r); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(path.Clean(header.Name), "/")] = ociFile{header, data}
	}
}

// parse reads a blob, or another file, of JSON.
func (b blobs) parse(t *testing.T, name string, v any) {
	t.Helper()
	if algorithm, digest, ok := strings.Cut(name, ":"); ok {
		name = path.Join("blobs", algorithm, digest)
	}
	if err := json.Unmarshal(b[name], v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// index returns the digest of the manifest list, which identifies the whole image.
func (b blobs) index(t *testing.T) string {
	t.Helper()
	var top struct {
		Manifests []descriptor `json:"manifests"`
	}
	b.parse(t, "index.json", &top)
	if len(top.Manifests) != 1 {
		t.Fatalf("the archive has %d images, want one manifest list", len(top.Manifests))
	}
	return top.Manifests[0].Digest
}

// images returns the image for each platform, as "linux/amd64".
func (b blobs) images(t *testing.T) map[string]ociImage {
	t.Helper()
	var list struct {
		Manifests []descriptor `json:"manifests"`
	}
	b.parse(t, b.index(t), &list)
	images := map[string]ociImage{}
	for _, m := range list.Manifests {
		images[m.Platform.OS+"/"+m.Platform.Architecture] = b.image(t, m)
	}
	return images
}

func (b blobs) image(t *testing.T, manifest descriptor) (i ociImage) {
	t.Helper()
	var parts struct {
		Config descriptor   `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	b.parse(t, manifest.Digest, &parts)
	b.parse(t, parts.Config.Digest, &i.ociConfig)
	i.files = map[string]ociFile{}
	for _, l := range parts.Layers {
		layer, err := gzip.NewReader(bytes.NewReader(b[path.Join("blobs", strings.Replace(l.Digest, ":", "/", 1))]))
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range untar(t, layer) {
			i.files[name] = f
		}
	}
	return i
}
