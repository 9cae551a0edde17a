// schema-judge says what a Kubernetes API server would say about a CustomResourceDefinition and about custom resources,
// by running the API server's own code: strict decoding, CRD validation, pruning, defaulting, schema and CEL validation.
//
//	schema-judge <crd.json> < resources.ndjson > verdicts.ndjson
//
// The first line of the answer is about the CRD; each further line answers one line of input, in order:
// {"object": as stored, "unknown": fields that strict decoding refuses, "errors": why it is not accepted}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/crdserverscheme"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type finding struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

type verdict struct {
	Object  map[string]any `json:"object,omitempty"`
	Unknown []string       `json:"unknown"`
	Errors  []finding      `json:"errors"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: schema-judge <crd.json> < resources.ndjson")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "schema-judge:", err)
		os.Exit(1)
	}
}

func run(crdPath string) error {
	data, err := os.ReadFile(crdPath)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	answer := json.NewEncoder(out)
	answer.SetEscapeHTML(false)

	judge, about, err := newJudge(data)
	if err != nil {
		return err
	}
	if err := answer.Encode(about); err != nil {
		return err
	}
	if judge == nil {
		return nil
	}

	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		// Answers wait for more questions only while there are some, so that one process can hold a conversation.
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		line, err := in.ReadBytes('\n')
		if len(line) > 1 {
			if err := answer.Encode(judge.about(line)); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // end of input
		}
	}
}

type resourceJudge struct {
	structural *structuralschema.Structural
	strategy   interface {
		Validate(ctx context.Context, obj runtime.Object) field.ErrorList
	}
}

// newJudge decodes and validates the CRD as the API server does on create; the judge is nil when it is not accepted.
func newJudge(data []byte) (*resourceJudge, verdict, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(apiextensionsv1.SchemeGroupVersion)
	decoded, _, err := decoder.Decode(data, nil, nil)
	if err != nil {
		if strict, ok := runtime.AsStrictDecodingError(err); ok {
			unknown := []string{}
			for _, e := range strict.Errors() {
				unknown = append(unknown, e.Error())
			}
			return nil, verdict{Unknown: unknown, Errors: []finding{}}, nil
		}
		return nil, verdict{}, err
	}
	crd, ok := decoded.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return nil, verdict{}, errors.New("not a CustomResourceDefinition")
	}
	scheme.Default(crd)
	if len(crd.Spec.Versions) != 1 {
		return nil, verdict{}, errors.New("this judge knows one version only")
	}

	internal := &apiextensions.CustomResourceDefinition{}
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd, internal, nil); err != nil {
		return nil, verdict{}, err
	}
	// What the registry's strategy does before it validates.
	internal.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}
	about := verdict{Unknown: []string{}, Errors: findings(validation.ValidateCustomResourceDefinition(context.Background(), internal))}
	if len(about.Errors) > 0 {
		return nil, about, nil
	}

	served, err := apiextensions.GetSchemaForVersion(internal, crd.Spec.Versions[0].Name)
	if err != nil {
		return nil, verdict{}, err
	}
	structural, err := structuralschema.NewStructural(served.OpenAPIV3Schema)
	if err != nil {
		return nil, verdict{}, err
	}
	schemaValidator, _, err := schemavalidation.NewSchemaValidator(served.OpenAPIV3Schema)
	if err != nil {
		return nil, verdict{}, err
	}
	subresources, err := apiextensions.GetSubresourcesForVersion(internal, crd.Spec.Versions[0].Name)
	if err != nil {
		return nil, verdict{}, err
	}
	if subresources == nil {
		subresources = &apiextensions.CustomResourceSubresources{}
	}
	kind := schema.GroupVersionKind{Group: crd.Spec.Group, Version: crd.Spec.Versions[0].Name, Kind: crd.Spec.Names.Kind}
	return &resourceJudge{
		structural: structural,
		strategy: customresource.NewStrategy(crdserverscheme.NewUnstructuredObjectTyper(), true, kind, schemaValidator, nil,
			structural, subresources.Status, subresources.Scale, nil),
	}, about, nil
}

// about treats one resource as a create request with fieldValidation=Strict; its status, if any, is judged with it.
func (j *resourceJudge) about(line []byte) verdict {
	object := map[string]any{}
	if err := utiljson.Unmarshal(line, &object); err != nil {
		return verdict{Unknown: []string{}, Errors: []finding{{Message: err.Error()}}}
	}
	unknown := pruning.PruneWithOptions(object, j.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if unknown == nil {
		unknown = []string{}
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, j.structural)
	defaulting.Default(object, j.structural)
	return verdict{
		Object:  object,
		Unknown: unknown,
		Errors:  findings(j.strategy.Validate(context.Background(), &unstructured.Unstructured{Object: object})),
	}
}

func findings(list field.ErrorList) []finding {
	out := []finding{}
	for _, e := range list {
		out = append(out, finding{Field: e.Field, Message: e.ErrorBody()})
	}
	return out
}
