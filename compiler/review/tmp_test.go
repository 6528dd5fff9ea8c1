package review
import ("testing";"os";"github.com/lsst-ts/csu/executor/plan";"path/filepath";"strings")
func TestTmp(t *testing.T){
 fs,_:=filepath.Glob("../../plans/*.json")
 for _,f:=range fs { p,_,err:=plan.ReadFile(f); if err!=nil {t.Fatal(err)}
  o,_:=os.Create("/tmp/rv/"+strings.TrimSuffix(filepath.Base(f),".json")+".md"); if err:=Markdown(o,p);err!=nil {t.Fatal(err)}; o.Close()
  o,_=os.Create("/tmp/rv/"+strings.TrimSuffix(filepath.Base(f),".json")+".txt"); if err:=Text(o,p,Terminal{100,true});err!=nil {t.Fatal(err)}; o.Close()
 }
}
