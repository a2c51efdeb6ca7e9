// The Go end of `./x conformance`: one call a line comes in, is played through
// alibaba-cloud-sdk-go, and one outcome a line goes out. With `typed` each call is the SDK's own
// request of that action, filled by its tags, where the SDK has the action; with `common` it is a
// CommonRequest.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"
)

const region = "cn-hangzhou"

var versions = map[string]string{"Ecs": "2014-05-26", "Vpc": "2016-04-28", "Sts": "2015-04-01"}

type call struct {
	Product, Action, Key, Secret, Token string
	Parameters                          map[string]any
}

type outcome struct {
	Answer  json.RawMessage `json:"answer,omitempty"`
	Code    string          `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	Status  int             `json:"status,omitempty"`
	Broken  string          `json:"broken,omitempty"`
}

func main() {
	endpoint, err := url.Parse(os.Getenv("CONFORMANCE_ENDPOINT"))
	if err != nil {
		panic(err)
	}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		told, err := json.Marshal(play(line, endpoint, os.Args[1] == "typed"))
		if err != nil {
			panic(err)
		}
		fmt.Println(string(told))
	}
}

func play(line []byte, endpoint *url.URL, typed bool) outcome {
	var wanted call
	if err := json.Unmarshal(line, &wanted); err != nil {
		return outcome{Broken: err.Error()}
	}
	answer, err := send(wanted, endpoint, typed)
	var refused sdkerrors.Error
	switch {
	case err == nil:
		return outcome{Answer: answer}
	case errors.As(err, &refused) && refused.HttpStatus() > 0:
		return outcome{
			Code: refused.ErrorCode(), Message: refused.Message(), Status: refused.HttpStatus(),
		}
	default:
		return outcome{Broken: err.Error()}
	}
}

// credential is what the SDK signs with: an access key, or a temporary one with its token.
func credential(wanted call) auth.Credential {
	if wanted.Token == "" {
		return credentials.NewAccessKeyCredential(wanted.Key, wanted.Secret)
	}
	return credentials.NewStsTokenCredential(wanted.Key, wanted.Secret, wanted.Token)
}

func send(wanted call, endpoint *url.URL, typed bool) (json.RawMessage, error) {
	var client any
	var err error
	switch wanted.Product {
	case "Ecs":
		client, err = ecs.NewClientWithOptions(region, sdk.NewConfig(), credential(wanted))
	case "Vpc":
		client, err = vpc.NewClientWithOptions(region, sdk.NewConfig(), credential(wanted))
	default:
		typed = false
	}
	if err != nil {
		return nil, err
	}
	if typed {
		if method := reflect.ValueOf(client).MethodByName(wanted.Action); method.IsValid() {
			return sendTyped(method, wanted, endpoint)
		}
	}
	return sendCommon(wanted, endpoint)
}

// sendTyped makes what `CreateXRequest()` makes, for any action.
func sendTyped(method reflect.Value, wanted call, endpoint *url.URL) (json.RawMessage, error) {
	request := reflect.New(method.Type().In(0).Elem())
	rpc := &requests.RpcRequest{}
	request.Elem().FieldByName("RpcRequest").Set(reflect.ValueOf(rpc))
	rpc.InitWithApiInfo(wanted.Product, versions[wanted.Product], wanted.Action, "", "openAPI")
	rpc.Method = requests.POST
	rpc.Domain = endpoint.Host
	rpc.Scheme = endpoint.Scheme
	for name, value := range wanted.Parameters {
		if name == "RegionId" {
			rpc.RegionId = value.(string)
		} else if err := fill(request.Elem(), name, value); err != nil {
			return nil, err
		}
	}
	results := method.Call([]reflect.Value{request})
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	return json.Marshal(results[0].Interface())
}

// fill sets the field of a request, or of a structure in it, that carries this name.
func fill(structure reflect.Value, name string, value any) error {
	for index := 0; index < structure.NumField(); index++ {
		if structure.Type().Field(index).Tag.Get("name") == name {
			return set(structure.Field(index), value)
		}
	}
	return fmt.Errorf("%s has no %s", structure.Type(), name)
}

func set(field reflect.Value, value any) error {
	switch value := value.(type) {
	case []any:
		list := reflect.MakeSlice(field.Type().Elem(), len(value), len(value))
		for index, item := range value {
			if err := set(list.Index(index), item); err != nil {
				return err
			}
		}
		field.Set(reflect.New(list.Type()))
		field.Elem().Set(list)
	case map[string]any:
		for name, inner := range value {
			if err := fill(field, name, inner); err != nil {
				return err
			}
		}
	default:
		field.SetString(fmt.Sprint(value))
	}
	return nil
}

func sendCommon(wanted call, endpoint *url.URL) (json.RawMessage, error) {
	client, err := sdk.NewClientWithOptions(region, sdk.NewConfig(), credential(wanted))
	if err != nil {
		return nil, err
	}
	request := requests.NewCommonRequest()
	request.Method = requests.GET
	request.Scheme = endpoint.Scheme
	request.Domain = endpoint.Host
	request.Version = versions[wanted.Product]
	request.ApiName = wanted.Action
	flatten(request.QueryParams, "", wanted.Parameters)
	response, err := client.ProcessCommonRequest(request)
	if err != nil {
		return nil, err
	}
	return response.GetHttpContentBytes(), nil
}

// flatten spells nested parameters as `Name.1.Key`.
func flatten(found map[string]string, prefix string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			flatten(found, join(prefix, name), inner)
		}
	case []any:
		for index, inner := range value {
			flatten(found, join(prefix, fmt.Sprint(index+1)), inner)
		}
	default:
		found[prefix] = fmt.Sprint(value)
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}
