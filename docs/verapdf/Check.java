import java.io.FileInputStream;
import java.util.Map;
import java.util.TreeMap;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.TestAssertion;

/** Check PROFILE FILE...: whether PDFs comply with ua1, 2a or 2b, and which rules they break. */
public class Check {
    public static void main(String[] arguments) throws Exception {
        VeraGreenfieldFoundryProvider.initialise();
        var profile = PDFAFlavour.byFlavourId(arguments[0]);
        boolean good = true;
        for (int number = 1; number < arguments.length; number++) {
            try (var file = new FileInputStream(arguments[number]);
                    PDFAParser parser = Foundries.defaultInstance().createParser(file, profile);
                    var validator = Foundries.defaultInstance().createValidator(profile, false)) {
                var result = validator.validate(parser);
                Map<String, Integer> broken = new TreeMap<>();
                for (TestAssertion found : result.getTestAssertions()) {
                    if (found.getStatus() == TestAssertion.Status.FAILED) {
                        var rule = found.getRuleId();
                        String name = rule.getClause() + "-" + rule.getTestNumber();
                        broken.merge(name + " " + found.getMessage(), 1, Integer::sum);
                    }
                }
                good &= result.isCompliant();
                String said = result.isCompliant() ? "complies" : "does not comply";
                System.out.println(arguments[number] + " " + said + " with " + arguments[0]);
                broken.forEach((rule, times) -> System.out.println("   " + times + " x " + rule));
            }
        }
        System.exit(good ? 0 : 1);
    }
}
